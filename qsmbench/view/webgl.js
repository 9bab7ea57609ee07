"use strict";
// The panels of the viewer drawn by NiiVue, with WebGL2: planes and a rendering in three dimensions. It is loaded when it
// is first wanted. One handler moves the crosshair of all panels, since NiiVue's own broadcasting needs the focus.

const hasWebGL2 = (() => {
  try {
    const context = document.createElement("canvas").getContext("webgl2");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(context);
  } catch { return false; }
})();

const loadNiiVue = (() => {
  let loading = null;
  return address => loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = () => resolve(globalThis.niivue);
    script.onerror = () => { loading = null; reject(new Error(`${address} is not there`)); };
    script.src = address;
    document.head.append(script);
  });
})();

const WIDTH = 1.5;  // of the crosshair, mm

class NiiVuePanels {
  constructor(viewer, library) {
    this.viewer = viewer;
    this.library = library;
    this.views = [];
  }

  // Replace the canvases of the panels; the promise fails if NiiVue cannot draw.
  async show(panels) {
    this.clear();
    for (const panel of panels) this.views.push(await this.view(panel));
    this.update();
  }

  async view(panel) {
    const { viewer, library } = this, view = new library.Niivue({
      isRadiologicalConvention: true, sagittalNoseLeft: true, isOrientCube: false, isColorbar: false, show3Dcrosshair: true, crosshairWidth: WIDTH, crosshairWidthUnit: "mm",
      crosshairColor: [0.35, 0.86, 0.59, 0.85], backColor: [13 / 255, 14 / 255, 17 / 255, 1], loadingText: "",
      dragAndDropEnabled: false, clipPlaneHotKey: "", viewModeHotKey: "", isResizeCanvas: true, logLevel: "silent",
    });
    await view.attachToCanvas(panel.canvases[0]);
    for (const [name, table] of Object.entries(viewer.tables)) view.addColormap(`qsmbench ${name}`, this.colours(name, table));
    const image = await view.niftiArray2NVImage(this.nifti(panel));
    image.name = panel.name;
    view.addVolume(image);
    view.setSliceType({ axial: 0, coronal: 1, sagittal: 2, three: 3 }[viewer.planes]);
    view.setMultiplanarLayout(viewer.planes === "three" ? 2 : 0);
    view.opts.multiplanarShowRender = 1;
    view.onLocationChange = where => {
      if (!this.moving && where.vox) viewer.go(where.vox.map(v => Math.round(v)));
    };
    view.panel = panel;
    return view;
  }

  // In the rendering, small values are transparent; of errors, those near 0. Planes are opaque.
  colours(name, table) {
    const every = [...Array(256).keys()], channel = c => every.map(i => table[3 * i + c]);
    const opaque = every.map(i => Math.min(name === this.viewer.content.error_colours ? 4 * Math.abs(i - 128) : 4 * i, 255));
    return { R: channel(0), G: channel(1), B: channel(2), A: opaque, I: every };
  }

  nifti(panel) {
    const { shape, spacing, first } = this.viewer.grid, values = new Float32Array(shape[0] * shape[1] * shape[2]);
    const outside = panel.kind === "error" ? 0 : -1e4;  // dark in both scales
    for (let i = 0; i < values.length; i++) {
      const v = panel.value(i);
      values[i] = v === v ? v : outside;
    }
    const affine = [spacing[0], 0, 0, first[0], 0, spacing[1], 0, first[1], 0, 0, spacing[2], first[2], 0, 0, 0, 1];
    return this.library.NVImage.createNiftiArray(shape, spacing, affine, 16, values);
  }

  update() {
    const { at, windows, colours, options } = this.viewer;
    this.moving = true;
    for (const view of this.views) {
      const image = view.volumes[0], [low, high] = windows[view.panel.kind], map = `qsmbench ${colours[view.panel.kind]}`;
      if (image.cal_min !== low || image.cal_max !== high || image.colormap !== map) {
        image.colormap = map;  // which resets the window
        [image.cal_min, image.cal_max] = [low, high];
        view.updateGLVolume();
      }
      view.opts.crosshairWidth = options.cross ? WIDTH : 0;
      view.scene.crosshairPos = view.vox2frac(at);
      view.setInterpolation(!options.smooth);
      view.drawScene();
    }
    this.moving = false;
  }

  clear() {
    for (const view of this.views) {
      view.cleanup();
      view.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    }
    this.views = [];
  }
}

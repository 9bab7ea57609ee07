"use strict";
// Linked planes of volumes on 2D canvases. The page contains #volumes (JSON: what there is, and its colours) and .viewer.
// A volume is a script beside the page, or an element of the page, that is read when it is first shown.

const VolumeStore = (() => {
  const arriving = new Map();   // script element → what to do with its volume
  const kept = new Map();       // address → promise of a decoded volume, the last used last
  const MOST = 12;              // volumes in memory

  globalThis.qsmbenchVolume = volume => arriving.get(document.currentScript)?.(volume);

  function fetched(address) {
    if (address.startsWith("#")) return Promise.resolve(JSON.parse(document.getElementById(address.slice(1)).textContent));
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      arriving.set(script, resolve);
      script.onload = () => { arriving.delete(script); script.remove(); reject(new Error(`${address} is damaged`)); };
      script.onerror = () => {
        arriving.delete(script);
        script.remove();
        reject(new Error(`${decodeURIComponent(address)} is not there; keep the folder “volumes” beside the page`));
      };
      script.src = address;
      document.head.append(script);
    });
  }

  async function decoded(packed) {
    if (!globalThis.DecompressionStream) throw new Error("this browser cannot unpack volumes; use one made since 2023");
    const text = atob(packed.data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const raw = await new Response(stream).arrayBuffer();
    const whole = new { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array }[packed.type](raw);
    if (whole.length !== packed.shape[0] * packed.shape[1] * packed.shape[2]) throw new Error("a volume is damaged");
    return { ...packed, data: null, whole };
  }

  return function load(address) {
    const known = kept.get(address) ?? fetched(address).then(decoded);
    kept.delete(address);
    kept.set(address, known);
    known.catch(() => kept.delete(address));
    if (kept.size > MOST) kept.delete(kept.keys().next().value);
    return known;
  };
})();

const PLANES = {  // the patient axes across and down a plane and normal to it; all run from high to low
  axial: { across: 0, down: 1, normal: 2, sides: ["R", "L", "A", "P"] },
  coronal: { across: 0, down: 2, normal: 1, sides: ["R", "L", "H", "F"] },
  sagittal: { across: 1, down: 2, normal: 0, sides: ["A", "P", "H", "F"] },
};

function colourTable(stops) {
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const level = i / 255;
    let k = 1;
    while (k < stops.length - 1 && level > stops[k][0]) k++;
    const [[from, a], [to, b]] = [stops[k - 1], stops[k]], share = (level - from) / (to - from);
    for (let c = 0; c < 3; c++) table[3 * i + c] = Math.round(a[c] + share * (b[c] - a[c]));
  }
  return table;
}

const signed = (value, digits) => {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : (value > 0 ? "+" : "") + text.replace("-", "−");
};

class Viewer {
  constructor(root, content) {
    this.root = root;
    this.content = content;
    this.tables = Object.fromEntries(Object.entries(content.colours).map(([name, stops]) => [name, colourTable(stops)]));
    this.part = name => root.querySelector(`[data-part="${name}"]`);
    this.planes = root.clientWidth < 620 ? "axial" : "three";
    this.plane = "axial";
    this.colours = { value: "grey", error: content.error_colours };
    this.at = null;        // voxel of the crosshair
    this.under = null;     // voxel under the cursor
    this.panels = [];
    this.options = { cross: true, outline: true, smooth: false };
    this.gl = null;        // NiiVue's panels, if they are wanted
    this.blinking = false;
    this.wanted = 0;
    this.fillChoices();
    this.listen();
    this.load();
  }

  // Choices

  get dataset() { return this.content.datasets[this.part("dataset").value]; }

  fillChoices() {
    const put = (name, values) => this.part(name).replaceChildren(...values.map(([text, value]) => new Option(text, value)));
    const same = values => values.map(v => [v, v]);
    put("dataset", same(Object.keys(this.content.datasets)));
    put("planes", [["three planes", "three"], ...same(Object.keys(PLANES))]);
    put("colours", same(Object.keys(this.content.colours)));
    this.part("planes").value = this.planes;
    const engines = [["planes", ""], ...(this.content.niivue ? [["planes and 3D (NiiVue)", "niivue"]] : [])];
    put("engine", engines);
    this.part("engine").closest("label").hidden = engines.length < 2;
    if (engines.length > 1 && !hasWebGL2) {
      this.part("engine").options[1].disabled = true;
      this.part("engine").options[1].text += ": this browser offers no WebGL2";
    }
    this.fillChains();
  }

  fillChains() {
    const [a, b] = [this.part("a"), this.part("b")], before = [a.value, b.value];
    const chains = Object.keys(this.dataset.chains);
    a.replaceChildren(...chains.map(c => new Option(c, c)));
    if (chains.includes(before[0])) a.value = before[0];
    const artifact = this.dataset.chains[a.value].artifact;
    const rivals = chains.filter(c => c !== a.value && this.dataset.chains[c].artifact === artifact);
    b.replaceChildren(new Option("nothing", ""), ...rivals.map(c => new Option(c, c)));
    if (rivals.includes(before[1])) b.value = before[1];
  }

  // Volumes

  async load() {
    const turn = ++this.wanted, { truth, chains, regions } = this.dataset, names = [this.part("a").value, this.part("b").value];
    const artifact = chains[names[0]].artifact;
    const places = [truth[artifact], ...names.map(n => n && chains[n].at), regions];
    this.say("Loading …");
    this.root.setAttribute("aria-busy", "true");
    try {
      const found = await Promise.all(places.map(p => p ? VolumeStore(p) : null));
      if (turn !== this.wanted) return;
      this.accept(artifact, names, found);
      this.say("");
      this.root.dataset.ready = String(turn);
    } catch (error) {
      if (turn !== this.wanted) return;
      this.panels = [];
      this.part("panels").replaceChildren();
      this.say(`The volumes cannot be shown: ${error.message}. The pictures below are complete.`);
    }
    this.root.removeAttribute("aria-busy");
  }

  accept(artifact, names, [truth, a, b, regions]) {
    const usual = this.content.scales[artifact], wider = truth?.widening ?? 1;
    const scale = { ...usual, values: usual.values.map(v => v * wider), error: usual.error * wider };
    const grid = a;
    if (this.artifact !== artifact || this.wider !== wider) {
      this.windows = { value: [...scale.values], error: [-scale.error, scale.error] };
      [this.artifact, this.wider] = [artifact, wider];
    }
    this.scale = scale;
    this.digits = Math.max(0, Math.ceil(-Math.log10(a.step) - 1e-9));
    this.regions = regions;
    if (!this.grid || String(this.grid.shape) !== String(grid.shape)) this.at = null;
    this.grid = grid;
    this.at ??= this.middle();
    this.volumes = { truth, a: { name: names[0], volume: a }, b: b && { name: names[1], volume: b } };
    this.build();
  }

  middle() {  // as in the pictures: to the right of the centre by an eighth, through the deep grey matter of a head
    const [nx, ny, nz] = this.grid.shape;
    return [Math.round((nx - 1) / 2 + nx / 8), Math.round((ny - 1) / 2), Math.round((nz - 1) / 2)];
  }

  build() {
    const { truth, a, b } = this.volumes, [first, second] = this.blinking && b ? [b, a] : [a, b];
    const of = volume => {
      const { whole, step } = volume, outside = this.content.outside[volume.type];
      return i => whole[i] === outside ? NaN : whole[i] * step;
    };
    const less = (x, y) => { const [f, g] = [of(x), of(y)]; return i => f(i) - g(i); };
    const panels = [];
    if (truth) panels.push({ name: "truth", kind: "value", value: of(truth) });
    for (const each of [first, second]) {
      if (!each) continue;
      panels.push({ name: each.name, kind: "value", value: of(each.volume) });
      if (truth) panels.push({ name: `${each.name} − truth`, kind: "error", value: less(each.volume, truth) });
    }
    if (!truth && second) panels.push({ name: `${second.name} − ${first.name}`, kind: "error", value: less(second.volume, first.volume) });
    this.panels = panels;
    this.part("panels").replaceChildren(...panels.map(p => this.panelElement(p)));
    this.part("error-bar").hidden = !panels.some(p => p.kind === "error");
    this.part("values").replaceChildren(...panels.map(p => {
      const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
      head.textContent = p.name;
      head.scope = "row";
      p.cell = cell;
      row.append(head, cell);
      return row;
    }));
    this.fit();
    if (this.gl) this.gl.show(panels).catch(error => this.leaveNiiVue(error));
  }

  async setEngine(engine) {
    this.gl?.clear();
    this.gl = null;
    if (engine) {
      this.say("Loading NiiVue …");
      try { this.gl = new NiiVuePanels(this, await loadNiiVue(this.content.niivue)); this.say(""); }
      catch (error) { this.leaveNiiVue(error); return; }
    }
    if (this.panels.length) this.build();
  }

  leaveNiiVue(error) {
    this.gl = null;
    this.part("engine").value = "";
    this.say(`NiiVue cannot be shown (${error.message}); the planes are drawn without it.`);
    if (this.panels.length) this.build();
  }

  panelElement(panel) {
    const box = document.createElement("div"), title = document.createElement("div");
    box.className = "panel";
    title.className = "title";
    title.textContent = title.title = panel.name;
    box.append(title);
    panel.box = box;
    if (this.gl) {
      const canvas = document.createElement("canvas"), frame = document.createElement("div");
      canvas.setAttribute("aria-label", `${panel.name}, by NiiVue`);
      frame.append(canvas);
      box.append(frame);
      panel.canvases = [canvas];
      return box;
    }
    panel.canvases = Object.keys(PLANES).filter(p => this.planes === "three" || this.planes === p).map(plane => {
      const canvas = document.createElement("canvas");
      canvas.dataset.plane = plane;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${panel.name}, ${plane}`);
      this.point(canvas, panel, plane);
      box.append(canvas);
      return canvas;
    });
    return box;
  }

  // Size: all panels have the same scale, and fit the window.

  fit() {
    if (!this.panels.length) return;
    const gap = 6, { shape, spacing } = this.grid, size = shape.map((n, i) => n * spacing[i]);
    const shown = Object.entries(PLANES).filter(([p]) => this.planes === "three" || this.planes === p).map(([, p]) => p);
    const wide = Math.max(...shown.map(p => size[p.across])), tall = shown.reduce((sum, p) => sum + size[p.down], 0);
    const room = this.part("stage").clientWidth, n = this.panels.length;
    const narrow = room < 620 && (this.gl || this.planes !== "three");
    const across = Math.min(n, narrow ? 2 : this.gl ? 3 : n);
    const height = Math.max(360, Math.min(0.82 * innerHeight, 1800));
    const zoom = Math.min((room - gap * (across - 1)) / across / wide, height / tall);
    this.part("panels").style.gridTemplateColumns = `repeat(${across}, ${Math.floor(zoom * wide)}px)`;
    const dense = Math.min(globalThis.devicePixelRatio || 1, 3);
    if (this.gl) {
      const w = Math.floor(Math.min((room - gap * (across - 1)) / across, 0.72 * innerHeight));
      this.part("panels").style.gridTemplateColumns = `repeat(${across}, ${w}px)`;
      for (const { canvases: [canvas] } of this.panels) {
        canvas.parentNode.style.width = `${w}px`;
        canvas.parentNode.style.height = `${this.planes === "three" ? w : Math.floor(w * tall / wide)}px`;
      }
      this.draw();
      return;
    }
    for (const panel of this.panels) for (const canvas of panel.canvases) {
      const p = PLANES[canvas.dataset.plane];
      const [w, h] = [p.across, p.down].map(axis => Math.max(Math.floor(zoom * size[axis]), 1));
      canvas.style.width = `${w}px`;
      canvas.style.height = `${h}px`;
      [canvas.width, canvas.height] = [Math.round(w * dense), Math.round(h * dense)];
    }
    this.dense = dense;
    this.zoom = zoom;
    this.draw();
  }

  // Drawing

  draw() {
    if (this.drawing || !this.panels.length) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      if (this.gl) this.gl.update();
      else for (const panel of this.panels) for (const canvas of panel.canvases) this.drawPlane(panel, canvas);
      this.drawBars();
      this.read();
      this.moveSliders();
    });
  }

  steps(plane) {  // distances in the list of voxels
    const stride = [1, this.grid.shape[0], this.grid.shape[0] * this.grid.shape[1]], p = PLANES[plane];
    return { across: stride[p.across], down: stride[p.down], start: this.at[p.normal] * stride[p.normal],
      columns: this.grid.shape[p.across], rows: this.grid.shape[p.down] };
  }

  image(panel, plane) {
    const { across, down, start, columns, rows } = this.steps(plane), [low, high] = this.windows[panel.kind];
    const table = this.tables[this.colours[panel.kind]], image = new ImageData(columns, rows), pixels = image.data;
    const factor = 255 / (high - low), value = panel.value;
    for (let r = 0, k = 0; r < rows; r++) for (let c = 0; c < columns; c++, k += 4) {
      const v = value(start + (rows - 1 - r) * down + (columns - 1 - c) * across);
      if (v !== v) { pixels[k] = 13; pixels[k + 1] = 14; pixels[k + 2] = 17; }
      else {
        const level = 3 * Math.round(Math.min(Math.max((v - low) * factor, 0), 255));
        pixels[k] = table[level]; pixels[k + 1] = table[level + 1]; pixels[k + 2] = table[level + 2];
      }
      pixels[k + 3] = 255;
    }
    return image;
  }

  drawPlane(panel, canvas) {
    const plane = canvas.dataset.plane, image = this.image(panel, plane), pen = canvas.getContext("2d");
    this.scratch ??= document.createElement("canvas");
    [this.scratch.width, this.scratch.height] = [image.width, image.height];
    this.scratch.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = this.options.smooth;
    pen.drawImage(this.scratch, 0, 0, canvas.width, canvas.height);
    if (this.options.outline) this.drawOutline(pen, canvas, plane);
    if (this.options.cross) this.drawCross(pen, canvas, plane);
    this.drawSides(pen, canvas, plane, panel === this.panels[0] && canvas === panel.canvases[0]);
  }

  drawOutline(pen, canvas, plane) {  // of the region at the crosshair
    const here = this.region(this.at);
    if (!here) return;
    const { across, down, start, columns, rows } = this.steps(plane), whole = this.regions.whole;
    const [w, h] = [canvas.width / columns, canvas.height / rows];
    const inside = (r, c) => r >= 0 && c >= 0 && r < rows && c < columns
      && whole[start + (rows - 1 - r) * down + (columns - 1 - c) * across] === here;
    pen.beginPath();
    for (let r = 0; r <= rows; r++) for (let c = 0; c <= columns; c++) {
      const own = inside(r, c);
      if (own !== inside(r - 1, c)) { pen.moveTo(c * w, r * h); pen.lineTo((c + 1) * w, r * h); }
      if (own !== inside(r, c - 1)) { pen.moveTo(c * w, r * h); pen.lineTo(c * w, (r + 1) * h); }
    }
    pen.strokeStyle = "#ffb454";
    pen.lineWidth = this.dense;
    pen.stroke();
  }

  place(plane, voxel) {  // of a voxel in a plane, as shares of its width and height
    const p = PLANES[plane], { shape } = this.grid;
    return [p.across, p.down].map(axis => (shape[axis] - 0.5 - voxel[axis]) / shape[axis]);
  }

  drawCross(pen, canvas, plane) {
    const [w, h] = [canvas.width, canvas.height], [x, y] = this.place(plane, this.at), free = 7 * this.dense;
    const [across, down] = [Math.floor(x * w) + 0.5, Math.floor(y * h) + 0.5];  // the middle of a pixel: crisp lines
    pen.beginPath();
    for (const [from, to] of [[0, across - free], [across + free, w]]) { pen.moveTo(from, down); pen.lineTo(to, down); }
    for (const [from, to] of [[0, down - free], [down + free, h]]) { pen.moveTo(across, from); pen.lineTo(across, to); }
    pen.strokeStyle = "rgba(90, 220, 150, .85)";
    pen.lineWidth = this.dense;
    pen.stroke();
  }

  drawSides(pen, canvas, plane, ruler) {
    const d = this.dense, [w, h] = [canvas.width, canvas.height], [left, right, top] = PLANES[plane].sides;
    pen.font = `${11 * d}px system-ui, sans-serif`;
    pen.fillStyle = "#c9ccd2";
    pen.textBaseline = "middle";
    pen.textAlign = "left"; pen.fillText(left, 4 * d, h / 2 - 9 * d);
    pen.textAlign = "right"; pen.fillText(right, w - 4 * d, h / 2 - 9 * d);
    pen.textAlign = "center"; pen.fillText(top, w / 2, 9 * d);
    if (!ruler) return;
    const mm = [100, 50, 20, 10, 5, 2, 1].find(m => m * this.zoom < 0.4 * w / d) ?? 1;
    pen.fillRect(6 * d, h - 8 * d, mm * this.zoom * d, 2 * d);
    pen.textAlign = "left"; pen.fillText(`${mm} mm`, 6 * d, h - 16 * d);
  }

  drawBars() {
    for (const kind of ["value", "error"]) {
      const bar = this.part(`${kind}-bar`), canvas = bar.querySelector("canvas"), pen = canvas.getContext("2d");
      const table = this.tables[this.colours[kind]], image = pen.createImageData(256, 1), [low, high] = this.windows[kind];
      for (let i = 0; i < 256; i++) image.data.set([...table.subarray(3 * i, 3 * i + 3), 255], 4 * i);
      canvas.height = 1;
      pen.putImageData(image, 0, 0);
      const zero = bar.querySelector("i"), share = -low / (high - low);
      zero.hidden = !(share > 0.02 && share < 0.98);
      zero.style.left = `${100 * share}%`;
      bar.querySelector("b").textContent = `${kind === "value" ? this.scale.name : "difference"}${this.scale.unit ? ` [${this.scale.unit}]` : ""}`;
      const inputs = bar.querySelectorAll("input"), step = this.content.steps[this.artifact];
      inputs.forEach((input, i) => {
        input.step = step;
        if (document.activeElement !== input) input.value = Number(this.windows[kind][i].toPrecision(3));
      });
    }
  }

  // Reading off

  index(voxel) { return voxel[0] + this.grid.shape[0] * (voxel[1] + this.grid.shape[1] * voxel[2]); }

  region(voxel) { return this.regions ? this.regions.whole[this.index(voxel)] : 0; }

  read() {
    const voxel = this.under ?? this.at, { first, spacing } = this.grid, number = this.region(voxel);
    const mm = voxel.map((v, i) => first[i] + v * spacing[i]);
    const sides = [["R", "L"], ["A", "P"], ["H", "F"]];
    const place = mm.map((m, i) => `${sides[i][m < 0 ? 1 : 0]} ${Math.abs(m).toFixed(1)}`).join("  ");
    this.part("region").textContent = (number && this.regions.names[number]?.replaceAll("_", " ")) || (this.regions ? "no region" : "");
    this.part("place").textContent = `${this.under ? "cursor" : "crosshair"}: ${place} mm`;
    for (const panel of this.panels) {
      const v = panel.value(this.index(voxel));
      panel.cell.textContent = v !== v ? "not reconstructed" : `${signed(v, this.digits)} ${this.scale.unit}`.trim();
    }
  }

  moveSliders() {
    this.root.querySelectorAll("input[data-axis]").forEach(slider => {
      const axis = Number(slider.dataset.axis);
      slider.max = this.grid.shape[axis] - 1;
      slider.value = this.at[axis];
      slider.setAttribute("aria-valuetext", `${(this.grid.first[axis] + this.at[axis] * this.grid.spacing[axis]).toFixed(1)} mm`);
    });
  }

  say(text) { this.part("status").textContent = text; }

  // Moving

  go(voxel) {
    this.at = voxel.map((v, i) => Math.min(Math.max(Math.round(v), 0), this.grid.shape[i] - 1));
    this.draw();
  }

  step(axis, by) { const to = [...this.at]; to[axis] += by; this.under = null; this.go(to); }

  voxelAt(event, canvas, plane) {
    const p = PLANES[plane], { shape } = this.grid, box = canvas.getBoundingClientRect(), voxel = [...this.at];
    const into = (share, n) => Math.min(Math.max(n - 1 - Math.floor(share * n), 0), n - 1);
    voxel[p.across] = into((event.clientX - box.left) / box.width, shape[p.across]);
    voxel[p.down] = into((event.clientY - box.top) / box.height, shape[p.down]);
    return voxel;
  }

  setWindow(kind, low, high) {
    if (!(high > low) || !Number.isFinite(high - low)) return;
    this.windows[kind] = [low, high];
    this.draw();
  }

  changeWindow(kind, wider, shift) {
    const [low, high] = this.windows[kind], full = this.fullWindow(kind), span = full[1] - full[0];
    const middle = (low + high) / 2 + (kind === "value" ? shift * span : 0);
    const half = Math.max((high - low) / 2 * wider, 1e-3 * span);
    this.setWindow(kind, middle - half, middle + half);
  }

  fullWindow(kind) { return kind === "value" ? this.scale.values : [-this.scale.error, this.scale.error]; }

  resetWindows() { for (const kind of ["value", "error"]) this.windows[kind] = [...this.fullWindow(kind)]; this.draw(); }

  point(canvas, panel, plane) {
    let drag = null;
    const mark = event => { this.under = null; this.go(this.voxelAt(event, canvas, plane)); };
    canvas.addEventListener("pointerdown", event => {
      this.plane = plane;
      this.root.focus({ preventScroll: true });
      if (event.pointerType === "touch") { drag = { touch: true, x: event.clientX, y: event.clientY }; return; }
      canvas.setPointerCapture(event.pointerId);
      const windowing = event.button === 2 || event.shiftKey;
      drag = { windowing, x: event.clientX, y: event.clientY };
      if (!windowing) mark(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", event => {
      if (!drag) {
        if (event.pointerType !== "touch") { this.under = this.voxelAt(event, canvas, plane); this.read(); }
      } else if (drag.windowing) {
        const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
        [drag.x, drag.y] = [event.clientX, event.clientY];
        this.changeWindow(panel.kind, Math.exp(0.008 * dx), 0.004 * dy);
      } else mark(event);
    });
    canvas.addEventListener("pointerup", event => { if (drag?.touch) mark(event); drag = null; });
    canvas.addEventListener("pointercancel", () => { drag = null; });
    canvas.addEventListener("pointerleave", () => { if (!drag) { this.under = null; if (this.grid) this.read(); } });
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("wheel", event => {
      if (!this.root.contains(document.activeElement) || event.ctrlKey) return;  // otherwise the page scrolls
      event.preventDefault();
      this.plane = plane;
      this.step(PLANES[plane].normal, event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
  }

  key(event) {
    if (event.target.closest("select, input, summary, button") && event.target !== this.root) return;
    if (event.ctrlKey || event.metaKey || event.altKey || !this.panels.length) return;
    const p = PLANES[this.plane], by = event.shiftKey ? 5 : 1;
    const actions = {
      ArrowLeft: () => this.step(p.across, by), ArrowRight: () => this.step(p.across, -by),
      ArrowUp: () => this.step(p.down, by), ArrowDown: () => this.step(p.down, -by),
      PageUp: () => this.step(p.normal, by), PageDown: () => this.step(p.normal, -by),
      Home: () => this.go(this.middle()),
      "[": () => this.changeWindow("value", 1 / 1.15, 0), "]": () => this.changeWindow("value", 1.15, 0),
      "{": () => this.changeWindow("error", 1 / 1.15, 0), "}": () => this.changeWindow("error", 1.15, 0),
      "-": () => this.changeWindow("value", 1, 0.03), "=": () => this.changeWindow("value", 1, -0.03),
      "+": () => this.changeWindow("value", 1, -0.03),
      r: () => this.resetWindows(), b: () => this.blink(),
      c: () => this.toggle("cross"), o: () => this.toggle("outline"), s: () => this.toggle("smooth"),
      0: () => this.showPlanes("three"), 1: () => this.showPlanes("axial"),
      2: () => this.showPlanes("coronal"), 3: () => this.showPlanes("sagittal"),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  blink() { if (this.volumes?.b) { this.blinking = !this.blinking; this.build(); } }

  toggle(option) {
    this.options[option] = !this.options[option];
    this.part(option).checked = this.options[option];
    this.draw();
  }

  showPlanes(planes) {
    this.planes = planes;
    this.part("planes").value = planes;
    if (planes !== "three") this.plane = planes;
    if (this.panels.length) this.build();
  }

  listen() {
    const on = (name, action, kind = "change") => this.part(name).addEventListener(kind, action);
    on("dataset", () => { this.fillChains(); this.load(); });
    on("a", () => { this.blinking = false; this.fillChains(); this.load(); });
    on("b", () => { this.blinking = false; this.load(); });
    on("planes", () => this.showPlanes(this.part("planes").value));
    on("engine", () => this.setEngine(this.part("engine").value));
    on("colours", () => { this.colours.value = this.part("colours").value; this.draw(); });
    on("reset", () => { if (this.grid) { this.resetWindows(); this.go(this.middle()); } }, "click");
    for (const option of Object.keys(this.options)) {
      this.part(option).checked = this.options[option];
      on(option, () => { this.options[option] = this.part(option).checked; this.draw(); });
    }
    this.root.querySelectorAll("input[data-axis]").forEach(slider => slider.addEventListener("input", () => {
      if (!this.grid) return;
      const to = [...this.at];
      to[Number(slider.dataset.axis)] = Number(slider.value);
      this.go(to);
    }));
    for (const kind of ["value", "error"]) {
      const inputs = [...this.part(`${kind}-bar`).querySelectorAll("input")];
      inputs.forEach(input => input.addEventListener("change", () => {
        if (this.grid) this.setWindow(kind, ...inputs.map(i => Number(i.value)));
      }));
    }
    this.root.addEventListener("keydown", event => this.key(event));
    let width = this.root.clientWidth;
    addEventListener("resize", () => { if (this.root.clientWidth !== width) { width = this.root.clientWidth; this.fit(); } });
    addEventListener("beforeprint", () => this.fit());
  }
}

(() => {
  const root = document.querySelector(".viewer"), content = document.getElementById("volumes");
  if (!root || !content) return;
  root.hidden = false;
  const start = () => { root.viewer ??= new Viewer(root, JSON.parse(content.textContent)); };
  if (!globalThis.IntersectionObserver) start();
  else {
    const seen = new IntersectionObserver(entries => {
      if (entries.some(e => e.isIntersecting)) { seen.disconnect(); start(); }
    }, { rootMargin: "300px" });
    seen.observe(root);
  }
})();

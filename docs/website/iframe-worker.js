// The search runs in a worker, which browsers do not start from file://; there a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) =>
        this.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) }));
      const script = this.inside.document.createElement("script");
      script.src = new URL(url, location);
      this.loaded = new Promise((resolve) => script.addEventListener("load", resolve));
      this.inside.document.body.append(script);
    }

    postMessage(data) {
      const copy = this.inside.structuredClone(data); // arrays of the frame, as a worker gets arrays of its own
      this.loaded.then(() => this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data: copy })));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}

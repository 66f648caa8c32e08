/* Search in pages opened from a disk: browsers refuse workers there, so the worker's script runs in a hidden frame. */
"use strict";

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.waiting = []; // messages from before the script has loaded
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.append(this.frame);
    const inner = this.frame.contentWindow;
    inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    inner.importScripts = (...urls) => Promise.all(urls.map((one) => FrameWorker.load(inner, one)));
    FrameWorker.load(inner, url).then(() => {
      this.inner = inner;
      this.waiting.splice(0).forEach((data) => this.postMessage(data));
    });
  }

  static load(inner, url) {
    return new Promise((loaded, failed) => {
      const script = inner.document.createElement("script");
      Object.assign(script, { src: new URL(url, document.baseURI), onload: loaded, onerror: failed });
      inner.document.body.append(script);
    });
  }

  postMessage(data) {
    if (this.inner) this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }));
    else this.waiting.push(data);
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;

// The page's first view: a picture or the camera, and what the network sees in it.

import { classified } from "./classify.js";
import { byId, element, listModels, percent, say, withButton } from "./dom.js";
import { frameOf, hasCamera, pixelsOf, startCamera } from "./picture.js";

/** Bring the view to life. */
export function startClassify(models) {
  const view = new ClassifyView(models);
  listModels(byId("classify-model"), models);
  byId("classify-model").addEventListener("change", () => view.forget());
  byId("picture").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = ""; // so that the same picture can be chosen again
    if (file) withButton(target, async () => view.show(await pixelsOf(file)));
  });
  byId("camera").hidden = !hasCamera();
  byId("camera-note").hidden = hasCamera();
  byId("camera").addEventListener("click", ({ target }) => withButton(target, () => view.toggleCamera()));
}

class ClassifyView {
  #models;
  #runtime = null;
  #stop = null;

  constructor(models) {
    this.#models = models;
  }

  get #model() {
    return this.#models[Number(byId("classify-model").value)];
  }

  /** The next picture is for another model. */
  forget() {
    this.#runtime?.then((runtime) => runtime.close(), () => {});
    this.#runtime = null;
  }

  /** Classify pixels and show what came of it. */
  async show(pixels) {
    const model = this.#model;
    this.#runtime ??= model.runtime();
    try {
      draw(await classified(pixels, model, await this.#runtime));
      say("Classified.");
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async toggleCamera() {
    if (this.#stop) {
      this.#endCamera();
      return;
    }
    const video = byId("video");
    this.#stop = await startCamera(video);
    video.hidden = false;
    byId("camera").textContent = "Stop camera";
    this.#follow(video);
  }

  #endCamera() {
    this.#stop?.();
    this.#stop = null;
    byId("video").hidden = true;
    byId("camera").textContent = "Start camera";
  }

  /** Frame after frame while the camera runs and the view is seen. */
  async #follow(video) {
    try {
      while (this.#stop) {
        await new Promise(requestAnimationFrame); // none comes while the page is hidden
        if (video.videoWidth && !byId("classify").hidden) await this.show(frameOf(video));
        else await new Promise((done) => setTimeout(done, 200));
      }
    } catch (error) {
      this.#endCamera();
      say(error.message, true);
    }
  }
}

function draw({ top, preprocess_ms, run_ms, seen }) {
  byId("top").replaceChildren(...top.map(({ name, probability }) => {
    const bar = element("span");
    bar.style.width = percent(probability);
    return element(
      "li", {},
      element("span", { textContent: name }),
      element("span", { textContent: percent(probability) }),
      element("div", { className: "bar", ariaHidden: "true" }, bar),
    );
  }));
  byId("times").textContent = `preprocessing ${preprocess_ms.toFixed(1)} ms, inference ${run_ms.toFixed(1)} ms`;
  drawSeen(seen);
}

/** The pixels that went into the network. */
function drawSeen({ data, width, height, channels }) {
  const canvas = byId("seen");
  Object.assign(canvas, { width, height, hidden: false });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[i * channels + Math.min(c, channels - 1)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

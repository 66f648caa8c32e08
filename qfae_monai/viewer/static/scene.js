// The canvas: NiiVue with three volumes of one grid, image, anomaly map and mask outline.

import { keepOutline, peak } from "./outline.js";

const { Niivue, NVImage, DRAG_MODE, SLICE_TYPE } = globalThis.niivue;
const PLANES = [SLICE_TYPE.SAGITTAL, SLICE_TYPE.CORONAL, SLICE_TYPE.AXIAL]; // by RAS axis
const TRANSPARENT_BELOW = 2; // colours from 0 to cal_max, nothing below cal_min
const LIMIT = 3; // the strongest colour is at so many calibrated thresholds, or at the map's highest value
const OUTLINE = { R: [0, 86], G: [0, 200], B: [0, 255], A: [0, 255], I: [0, 255] };
const ZOOM = 1.25;

export class Scene {
  /** `moved` is called whenever the crosshair or the volumes change. */
  constructor(canvas, moved) {
    this.canvas = canvas;
    this.moved = moved;
    this.view = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.47, 0.57, 0.66, 1],
      crosshairWidthUnit: "percent",
      crosshairWidth: 0.36,
      crosshairGap: 17, // in half widths, so that the voxel it points at stays visible
      fontColor: [0.62, 0.68, 0.74, 1],
      fontMinPx: 12,
      isRadiologicalConvention: true,
      isNearestInterpolation: false,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
    });
    this.view.setMouseEventConfig({
      leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan },
      rightButton: DRAG_MODE.windowing,
      centerButton: DRAG_MODE.pan,
    });
    this.view.addColormap("outline", OUTLINE);
    this.view.onLocationChange = (location) => this.#tell(location);
  }

  async start() {
    await this.view.attachToCanvas(this.canvas);
    this.largest = this.view.gl.getParameter(this.view.gl.MAX_3D_TEXTURE_SIZE);
  }

  /** The buffers are .nii.gz files; `mask` may be null. `scores` is the study's scores.json; `signal` gives up. */
  async show({ image, map, mask }, scores, layout, signal) {
    const open = (url, name, colormap) => NVImage.loadFromUrl({ url, name: `${name}.nii.gz`, colormap });
    const volumes = await Promise.all([
      open(image, "image", "gray"), open(map, "map", "inferno"), ...(mask ? [open(mask, "mask", "outline")] : []),
    ]);
    signal.throwIfAborted();
    const widest = Math.max(...volumes[0].hdr.dims.slice(1, 4));
    if (widest > this.largest) {
      throw new Error(`${widest} voxels in a row are more than this browser's graphics can hold (${this.largest})`);
    }
    this.axis = scores.slice_axis ?? 2;
    [this.image, this.map, this.mask] = volumes;
    this.maskValues = this.mask?.img.slice();
    if (this.mask) keepOutline(this.mask, this.axis);
    this.total = this.image.dimsRAS[1 + this.axis];
    const best = scores.slices.reduce((a, b) => (b.score > a.score ? b : a), { slice: this.total >> 1, score: -Infinity });
    const { voxel, highest } = peak(this.map, this.axis, Math.min(best.slice, this.total - 1));
    this.peak = voxel;
    this.highest = highest;
    this.limit = Math.max(highest, LIMIT * (scores.pixel_threshold ?? 0)) || 1;
    this.map.colormapType = TRANSPARENT_BELOW;
    this.map.cal_max = this.limit;
    for (const volume of [...this.view.volumes].reverse()) this.view.removeVolume(volume);
    for (const volume of volumes) this.view.addVolume(volume);
    this.view.opts.isOrientationTextVisible = scores.kind !== "image";
    this.setLayout(layout);
    this.fit();
    this.goToPeak();
  }

  /** What of the map is seen. opacity: 0 to 1, 0 hides it; threshold in units of the map. */
  setDisplay({ opacity, threshold, outlined }) {
    if (!this.map) return;
    this.map.cal_min = threshold;
    this.map.opacity = opacity;
    if (this.mask) this.mask.opacity = outlined ? 1 : 0;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      this.view.updateGLVolume();
    });
  }

  /** layout: "all" for the slices' own plane large beside the others, or the RAS axis of one plane. */
  setLayout(layout) {
    const flat = this.image.dimsRAS.slice(1, 4).includes(1);
    if (layout === "all" && !flat) {
      const [first, second] = PLANES.filter((plane) => plane !== PLANES[this.axis]);
      this.view.setCustomLayout([
        { sliceType: PLANES[this.axis], position: [0, 0, 0.64, 1] },
        { sliceType: first, position: [0.64, 0, 0.36, 0.5] },
        { sliceType: second, position: [0.64, 0.5, 0.36, 0.5] },
      ]);
    } else {
      this.view.clearCustomLayout();
      this.view.setSliceType(PLANES[flat || layout === "all" ? this.axis : Number(layout)]);
    }
  }

  get slice() {
    return this.view.frac2vox(this.view.scene.crosshairPos)[this.axis];
  }

  goToSlice(slice) {
    const voxel = [...this.view.frac2vox(this.view.scene.crosshairPos)];
    voxel[this.axis] = Math.min(Math.max(slice, 0), this.total - 1);
    this.#goTo(voxel);
  }

  goToPeak() {
    this.#goTo(this.peak);
  }

  /** One step nearer or farther; the crosshair stays where it is on the screen. */
  zoom(direction) {
    const [x, y, z, before] = this.view.scene.pan2Dxyzmm;
    const after = Math.min(Math.max(before * ZOOM ** direction, 1), 12);
    const here = this.view.frac2mm(this.view.scene.crosshairPos);
    const shift = after === 1 ? [0, 0, 0] : [x, y, z].map((pan, axis) => pan + (before - after) * here[axis]);
    this.view.setPan2Dxyzmm([...shift, after]);
  }

  fit() {
    this.view.setPan2Dxyzmm([0, 0, 0, 1]);
  }

  /** Colours of the map from 0 to its limit: 256 times R, G, B, A. */
  colours() {
    return this.view.colormap("inferno");
  }

  #goTo(voxel) {
    this.view.scene.crosshairPos = this.view.vox2frac(voxel);
    this.view.createOnLocationChange();
    this.view.drawScene();
  }

  #tell(location) {
    if (!this.map) return;
    const voxel = [...location.vox];
    const [x, y, z] = voxel;
    const place = this.map.img2RASstart.reduce((sum, start, axis) => sum + start + voxel[axis] * this.map.img2RASstep[axis], 0);
    this.moved({
      voxel,
      mm: [...location.mm].slice(0, 3),
      slice: voxel[this.axis],
      image: this.image.getValue(x, y, z),
      map: this.map.getValue(x, y, z),
      mask: this.maskValues ? this.maskValues[place] === 1 : null,
    });
  }
}

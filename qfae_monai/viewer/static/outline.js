// Geometry of a NIfTI volume's voxels, as stored: where the mask's border runs, and where the map is highest.
// `volume` is an NVImage: img is flat, first axis fastest; permRAS says which stored axis is x, y and z, and its sense.

const stored = (volume, axis) => Math.abs(volume.permRAS[axis]) - 1;

/** Turns a mask into its border within each slice along `axis` (of the RAS orientation): the image stays visible. */
export function keepOutline(volume, axis) {
  const size = volume.hdr.dims.slice(1, 4);
  const step = [1, size[0], size[0] * size[1]];
  const [first, second] = [0, 1, 2].filter((each) => each !== stored(volume, axis));
  const mask = volume.img.slice();
  for (let place = 0; place < mask.length; place++) {
    if (!mask[place]) continue;
    const inside = [first, second].every((each) => {
      const index = Math.floor(place / step[each]) % size[each];
      return index > 0 && index < size[each] - 1 && mask[place - step[each]] && mask[place + step[each]];
    });
    volume.img[place] = inside ? 0 : 1;
  }
}

/** RAS index of the highest voxel of a slice along `axis`, and the highest value of all. */
export function peak(volume, axis, slice) {
  const size = volume.hdr.dims.slice(1, 4);
  const ras = (place) => [0, 1, 2].map((each) => {
    const along = stored(volume, each);
    const index = Math.floor(place / [1, size[0], size[0] * size[1]][along]) % size[along];
    return volume.permRAS[each] > 0 ? index : size[along] - 1 - index;
  });
  const along = stored(volume, axis);
  const step = [1, size[0], size[0] * size[1]][along];
  const wanted = volume.permRAS[axis] > 0 ? slice : size[along] - 1 - slice;
  let best = -1;
  let highest = -Infinity;
  for (let place = 0; place < volume.img.length; place++) {
    const value = volume.img[place];
    if (value > highest) highest = value;
    if (Math.floor(place / step) % size[along] === wanted && (best < 0 || value > volume.img[best])) best = place;
  }
  return { voxel: ras(best), highest };
}

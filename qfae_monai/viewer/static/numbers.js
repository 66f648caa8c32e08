// Numbers as text: as many digits as they are worth, a dash where there is none.

export const NONE = "–";

/** Three significant digits, more only for whole numbers: 0.0123, 1.23, 123, 4512. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return signed(value.toExponential(2));
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return signed(Number.isInteger(value) ? String(value) : value.toFixed(digits));
}

/** Never 0: the smallest p-value is that of the calibration's size. */
export const pValue = (value) => (value === null || value === undefined ? NONE : number(value));

const signed = (text) => text.replaceAll("-", "−");

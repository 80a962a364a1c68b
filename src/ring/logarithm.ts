const ln2 = 0.6931471805599453;
const rootHalf = 0.7071067811865476;

/**
 * −ln(u) for 0 < u ≤ 1, to about 1e-15, from +, −, × and ÷ alone. ECMAScript fixes those to IEEE 754 round-to-nearest,
 * so every machine gets the same bits; `Math.log` is "implementation-approximated", and one ulp between two kinds of
 * processor would make two Corelets disagree about a placement.
 */
export function negativeLogarithm(u: number): number {
  let mantissa = u;
  let halvings = 0;
  while (mantissa < rootHalf) {
    mantissa *= 2; // exact
    halvings++;
  }
  // ln(m) = 2·artanh(z), z = (m − 1)/(m + 1), |z| ≤ 0.172: ten terms of the series.
  const z = (mantissa - 1) / (mantissa + 1);
  const square = z * z;
  let sum = 0;
  for (let k = 19; k >= 1; k -= 2) sum = sum * square + 1 / k;
  return halvings * ln2 - 2 * z * sum;
}

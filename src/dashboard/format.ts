/** A new element; `content` strings become text, never markup. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  ...content: readonly (Node | string)[]
): HTMLElement {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

export function shape(
  name: string,
  attributes: Readonly<Record<string, string>>,
  ...content: readonly Node[]
): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** Whether `target` shows anything else than `key` stands for; from now on it does. Left as it is, it isn't read out again. */
export function isNews(target: HTMLElement, key: string): boolean {
  if (target.dataset['shown'] === key) return false;
  target.dataset['shown'] = key;
  return true;
}

/** Sets text only when it changed, so that a screen reader isn't told the same again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

// The page's data: coordinates and categories at once, texts a block at a time, when they are asked for.

function bytesOf(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const blockOf = (id) => inflate(bytesOf(document.getElementById(id).textContent));
const jsonOf = async (id) => JSON.parse(new TextDecoder().decode(await blockOf(id)));

export async function readData() {
  const head = await jsonOf("head");
  const places = await blockOf("places");
  const data = {
    ...head,
    places: new Uint16Array(places.buffer, 0, 2 * head.n),
    centred: await blockOf("centred"),
    codes: [],
    texts: new Map(),
  };
  for (let i = 0; i < head.columns.length; i += 1) data.codes.push(await blockOf(`column${i}`));
  return data;
}

// [id, question, answer] of a point; one or two last ones are "" on a page without texts.
export async function textOf(data, point) {
  return (await textBlock(data, Math.floor(point / data.block)))[point % data.block];
}

export async function textBlock(data, number) {
  if (!data.texts.has(number)) data.texts.set(number, jsonOf(`texts${number}`));
  return data.texts.get(number);
}

// Points whose id, question or answer holds the words, in any case; reads one block after the other.
export async function search(data, words, isCurrent) {
  const wanted = words.toLowerCase();
  const found = [];
  for (let number = 0; number * data.block < data.n; number += 1) {
    const rows = await textBlock(data, number);
    if (!isCurrent()) return null;
    rows.forEach((row, i) => {
      if (row.some((text) => text.toLowerCase().includes(wanted))) found.push(number * data.block + i);
    });
  }
  return found;
}

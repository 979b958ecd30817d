// Whether AsyncAPI's own parser takes the documents: `node check.mjs FILE…`. And whether it would refuse broken ones, or else
// its silence says nothing.

import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const parser = new Parser();

const ERROR = 0;

/** What is wrong with a document. */
async function errors(document) {
  const { document: parsed, diagnostics } = await parser.parse(JSON.stringify(document));
  const found = diagnostics.filter(({ severity }) => severity === ERROR);
  const told = found.map(({ path, message }) => `${path.join('/')}: ${message}`);
  return parsed || told.length > 0 ? told : ['it can not be parsed'];
}

/** Ways to break a document, each of which has to be noticed. */
const BREAKS = {
  'an operation without a channel': (document) => {
    delete Object.values(document.operations)[0].channel;
  },
  'a reference that leads nowhere': (document) => {
    const [channel] = Object.values(document.channels);
    Object.values(channel.messages)[0].$ref = '#/components/messages/Nothing';
  },
  'a schema with a type that there is not': (document) => {
    document.components.schemas.Envelope.properties.event.type = 'text';
  },
  'a topic with no partition': (document) => {
    Object.values(document.channels)[0].bindings.kafka.partitions = 0;
  },
};

let isSound = true;
function fail(text) {
  isSound = false;
  console.error(text);
}

const [first, ...others] = process.argv.slice(2).map((file) => [file, JSON.parse(readFileSync(file, 'utf8'))]);
for (const [file, document] of [first, ...others]) {
  for (const error of await errors(document)) {
    fail(`${file}: ${error}`);
  }
}
for (const [what, breaks] of Object.entries(BREAKS)) {
  const document = structuredClone(first[1]);
  breaks(document);
  if ((await errors(document)).length === 0) {
    fail(`the parser takes ${what}`);
  }
}
process.exit(isSound ? 0 : 1);

// Preloaded into a Node process: appends the other hosts that it connects to to the file $OUTSIDE.
import { appendFileSync } from "node:fs";
import { Socket } from "node:net";

const HERE = ["localhost", "127.0.0.1", "::1", undefined];
const { connect } = Socket.prototype;

Socket.prototype.connect = function (...given) {
  const [options] = Array.isArray(given[0]) ? given[0] : given;
  if (!options.path && !HERE.includes(options.host)) appendFileSync(process.env.OUTSIDE, `${options.host}\n`);
  return connect.apply(this, given);
};

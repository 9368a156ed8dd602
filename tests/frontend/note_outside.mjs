// Preload this into a Node process with --import.
// For each connection to another machine, it appends the host to the file $OUTSIDE.
import { appendFileSync } from "node:fs";
import { Socket } from "node:net";

const LOCAL = ["localhost", "127.0.0.1", "::1", undefined];
const { connect } = Socket.prototype;

Socket.prototype.connect = function (...parameters) {
  const [options] = Array.isArray(parameters[0]) ? parameters[0] : parameters;
  if (!options.path && !LOCAL.includes(options.host)) appendFileSync(process.env.OUTSIDE, `${options.host}\n`);
  return connect.apply(this, parameters);
};

// Preload (`node --require`) that keeps a server on loopback: server-everything has no option for its address and
// would listen on every interface of a developer's machine. Prints the address, so that PORT=0 is of use.
'use strict';
const net = require('node:net');
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
  const options = typeof args[0] === 'object' && args[0] !== null ? args[0] : { port: args[0] };
  const port = Number(options.port);
  // Anything else (a pipe, a descriptor) cannot be moved to loopback, and must not slip past.
  if (!Number.isInteger(port)) throw new Error('loopback.cjs: only a TCP port can be listened on');
  this.once('listening', () => console.log(`listening on 127.0.0.1:${this.address().port}`));
  const callback = args.at(-1);
  return listen.call(this, { port, host: '127.0.0.1' }, typeof callback === 'function' ? callback : undefined);
};

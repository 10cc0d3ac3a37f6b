// What the .NET application under test answers, as one writes it for Node.js.
'use strict';

const http = require('node:http');

const plaintext = Buffer.from('Hello, World!');
const pattern = Buffer.alloc(64 * 1024, 'abcdefghijklmnopqrstuvwxyz');

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  switch (url.pathname) {
    case '/plaintext':
      response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': plaintext.length });
      response.end(plaintext);
      break;
    case '/json': {
      const body = JSON.stringify({ text: 'Hello, World!' });
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
      response.end(body);
      break;
    }
    case '/echo':
      response.writeHead(200, { 'Content-Length': request.headers['content-length'] });
      request.pipe(response);
      break;
    case '/bytes': {
      const length = Number(url.searchParams.get('n'));
      response.writeHead(200, { 'Content-Length': length });
      for (let sent = 0; sent < length; sent += pattern.length) {
        response.write(pattern.subarray(0, Math.min(pattern.length, length - sent)));
      }
      response.end();
      break;
    }
    default:
      response.writeHead(404).end();
  }
});

server.keepAliveTimeout = 0;
server.listen(Number(process.env.PORT), '127.0.0.1');

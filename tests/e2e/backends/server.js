// Listens where its last argument says. What the other backends of this folder do, in Node.
const http = require('node:http');

const server = http.createServer((request, response) => {
    const [path, query] = request.url.split('?');
    const [, first, second] = path.split('/');
    if (first === 'echo') {
        request.pipe(response);
    } else if (first === 'headers') {
        const raw = request.rawHeaders;
        const lines = raw.map((text, at) => (at % 2 ? `${text}\n` : `${text}: `));
        response.end(lines.join(''));
    } else if (first === 'env') {
        response.end(process.env[second] ?? '');
    } else if (first === 'argument') {
        response.end(process.argv.at(-1));
    } else if (first === 'deaf') {
        // Goes on running without taking connections.
        setInterval(() => {}, 1000);
        response.end('deaf', () => { server.close(); server.closeAllConnections(); });
    } else if (first === 'pid') {
        response.end(`${process.pid}`);
    } else {
        response.writeHead(404).end(query ?? '');
    }
});
process.on('SIGTERM', () => {
    console.log('asked to stop');
    server.close();
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 50);
});
server.listen(Number(process.argv.at(-1)), '127.0.0.1', () => console.log('ready to serve'));

// A tus server that this project did not write. Arguments: port, folder.
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

const [port, directory] = process.argv.slice(2);
const server = new Server({ path: '/v1/uploads', relativeLocation: true, datastore: new FileStore({ directory }) });
server.listen({ host: '127.0.0.1', port: Number(port) });

using System.Collections.Concurrent;
using System.Threading;

namespace Ancm.Server;

/// <summary>
/// Connections of whose end the app wants to hear, by the engine's number. Each is here from the
/// first question until the engine says that it is over.
/// </summary>
internal sealed class WatchedConnections(HostServer server)
{
    private readonly ConcurrentDictionary<ulong, CancellationTokenSource> _sources = new();

    /// <summary>The token of a connection; the engine must be asked to tell after this.</summary>
    internal CancellationToken Watch(ulong connection)
        => _sources.GetOrAdd(connection, static _ => new CancellationTokenSource()).Token;

    /// <summary>Whether the end of a connection is still to come.</summary>
    internal bool IsWatched(ulong connection) => _sources.ContainsKey(connection);

    /// <summary>The connection is over. Callbacks are user code, so they run on the pool.</summary>
    internal void Close(ulong connection)
    {
        if (_sources.TryRemove(connection, out var source))
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                static told => told.server.Cancel(told.source, HostContext.Name(told.connection), string.Empty),
                (server, source, connection),
                preferLocal: false);
        }
    }
}

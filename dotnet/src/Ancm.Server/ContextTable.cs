using System;
using System.Collections.Concurrent;
using System.Threading;

namespace Ancm.Server;

/// <summary>
/// Contexts, found in two ways. Those in use by exchange slot: a slot serves one request at a time.
/// Those at rest by connection, because an app may hold on to a context for longer than it should:
/// what it writes to it later must never reach another client than the one it came from.
/// </summary>
internal sealed class ContextTable
{
    private const int ChunkBits = 8;
    private const int ChunkSize = 1 << ChunkBits;
    private const int MaxChunks = 4096;
    // Connections are numbered one by one, so as many that follow each other find a place each.
    private const int Resting = 4096;

    private readonly object _growing = new();
    // Chunks never move: their elements are read and written without a lock.
    private readonly HostContext?[]?[] _inUse = new HostContext?[]?[MaxChunks];
    private readonly HostContext?[] _resting = new HostContext?[Resting];
    // Those that had to make room and of which the app keeps something for their connection.
    private readonly ConcurrentDictionary<ulong, HostContext> _displaced = new();
    private readonly Func<ulong, bool> _isWatched;
    private int _displacedCount;

    internal ContextTable(Func<ulong, bool> isWatched) => _isWatched = isWatched;

    /// <summary>The context that used a slot last, or null before its first request.</summary>
    internal HostContext? Find(int slot) => Volatile.Read(ref _inUse[slot >> ChunkBits])?[slot & (ChunkSize - 1)];

    /// <summary>A slot's request will be served by this context.</summary>
    internal void Use(int slot, HostContext context)
    {
        var chunk = Volatile.Read(ref _inUse[slot >> ChunkBits]) ?? AddChunk(slot >> ChunkBits);
        ref var place = ref chunk[slot & (ChunkSize - 1)];
        if (!ReferenceEquals(place, context))
        {
            Volatile.Write(ref place, context);
        }
    }

    /// <summary>The context that rests since an earlier request of this connection, if it does.</summary>
    internal HostContext? Wake(ulong connection)
    {
        var context = Interlocked.Exchange(ref _resting[connection % Resting], null);
        if (context is not null && context.ConnectionNumber == connection)
        {
            return context;
        }

        Displace(context);
        return Volatile.Read(ref _displacedCount) == 0 ? null : Forget(connection);
    }

    /// <summary>Keeps a context for the next request of its connection.</summary>
    internal void Rest(HostContext context)
        => Displace(Interlocked.Exchange(ref _resting[context.ConnectionNumber % Resting], context));

    /// <summary>Shows a context that is still in use to the next request of its connection.</summary>
    internal void Lend(HostContext context) => Displace(context);

    /// <summary>The connection is over, or its context is wanted.</summary>
    internal HostContext? Forget(ulong connection)
    {
        if (_displaced.TryRemove(connection, out var context))
        {
            Interlocked.Decrement(ref _displacedCount);
        }

        return context;
    }

    /// <summary>
    /// A context without anything of the app's is as good as a new one. Of the end of the other
    /// connections the engine tells.
    /// </summary>
    private void Displace(HostContext? context)
    {
        if (context is not { HasConnectionState: true } || !_displaced.TryAdd(context.ConnectionNumber, context))
        {
            return;
        }

        Interlocked.Increment(ref _displacedCount);
        if (!_isWatched(context.ConnectionNumber))
        {
            Forget(context.ConnectionNumber);
        }
    }

    /// <summary>Whether any request is being processed.</summary>
    internal bool AnyActive()
    {
        foreach (var chunk in _inUse)
        {
            if (chunk is not null && Array.Exists(chunk, static context => context is { IsActive: true }))
            {
                return true;
            }
        }

        return false;
    }

    internal void AbortAll()
    {
        foreach (var chunk in _inUse)
        {
            foreach (var context in chunk ?? [])
            {
                context?.AbortByServer();
            }
        }
    }

    private HostContext?[] AddChunk(int index)
    {
        lock (_growing)
        {
            if (_inUse[index] is not { } chunk)
            {
                chunk = new HostContext?[ChunkSize];
                Volatile.Write(ref _inUse[index], chunk);
            }

            return chunk;
        }
    }
}

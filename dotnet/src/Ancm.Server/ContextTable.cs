using System;
using System.Threading;

namespace Ancm.Server;

/// <summary>
/// One context per exchange slot, created at its first request and kept for the life of the
/// process. A slot serves one request at a time, so only growth needs the lock.
/// </summary>
internal sealed class ContextTable
{
    private readonly object _growing = new();
    private HostContext?[] _contexts = new HostContext?[256];

    /// <summary>The context of a slot, or null before its first request.</summary>
    internal HostContext? Find(int slot)
    {
        var contexts = Volatile.Read(ref _contexts);
        return (uint)slot < (uint)contexts.Length ? contexts[slot] : null;
    }

    internal void Add(int slot, HostContext context)
    {
        lock (_growing)
        {
            if (slot >= _contexts.Length)
            {
                var larger = new HostContext?[Math.Max(slot + 1, _contexts.Length * 2)];
                Array.Copy(_contexts, larger, _contexts.Length);
                Volatile.Write(ref _contexts, larger);
            }

            _contexts[slot] = context;
        }
    }

    /// <summary>Whether any request is being processed.</summary>
    internal bool AnyActive() => Array.Exists(Snapshot(), static context => context is { IsActive: true });

    internal void AbortAll()
    {
        // Outside the lock: an abort wakes lanes, and a lane may be waiting to add a context.
        foreach (var context in Snapshot())
        {
            context?.AbortByServer();
        }
    }

    private HostContext?[] Snapshot()
    {
        lock (_growing)
        {
            return (HostContext?[])_contexts.Clone();
        }
    }
}

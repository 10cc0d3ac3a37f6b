using System.Buffers;
using System.IO.Pipelines;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;

namespace Ancm.Backend.Links;

/// <summary>What the channels of a listener have in common: their memory, and how their pipes are.</summary>
internal sealed class LinkOptions : IMemoryPoolFeature
{
    internal LinkOptions(SocketTransportOptions options, ILogger logger)
    {
        Logger = logger;
        MemoryPool = new BlockPool(4096);
        // The server's part of a connection runs on the pool: it may block, and the link must not. Ours
        // runs where the other side happens to be.
        Input = new PipeOptions(MemoryPool, PipeScheduler.ThreadPool, PipeScheduler.Inline, 0, 0, useSynchronizationContext: false);
        // None means without a limit, as there.
        MaxWriteBuffer = options.MaxWriteBufferSize ?? 0;
    }

    /// <inheritdoc/>
    public MemoryPool<byte> MemoryPool { get; }

    /// <summary>For what the app's own code does wrong where nobody else hears of it.</summary>
    internal ILogger Logger { get; }

    /// <summary>From the host to the server.</summary>
    internal PipeOptions Input { get; }

    /// <summary>What the server writes to: larger, because few of them are sent at once.</summary>
    internal BlockPool Blocks { get; } = new(16 * 1024);

    /// <summary>Bytes that a channel may have beyond what the host has granted before the server waits; 0 is any number.</summary>
    internal long MaxWriteBuffer { get; }
}

using System.Buffers;
using System.IO.Pipelines;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Ancm.Backend.Links;

/// <summary>What the channels of a listener have in common: their memory, and how their pipes are.</summary>
internal sealed class LinkOptions : IMemoryPoolFeature
{
    internal LinkOptions(SocketTransportOptions options)
    {
        MemoryPool = new BlockPool();
        // The server's part of a connection runs on the pool: it may block, and the link must not. Ours
        // runs where the other side happens to be.
        Input = new PipeOptions(MemoryPool, PipeScheduler.ThreadPool, PipeScheduler.Inline, 0, 0, useSynchronizationContext: false);
        // None means without a limit, as there.
        var most = options.MaxWriteBufferSize ?? 0;
        Output = new PipeOptions(MemoryPool, PipeScheduler.Inline, PipeScheduler.ThreadPool, most, most / 2, useSynchronizationContext: false);
    }

    /// <inheritdoc/>
    public MemoryPool<byte> MemoryPool { get; }

    /// <summary>From the host to the server.</summary>
    internal PipeOptions Input { get; }

    /// <summary>From the server to the host.</summary>
    internal PipeOptions Output { get; }
}

using System.IO.Pipelines;

using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Ancm.Backend.Links;

/// <summary>How the pipes of channels are.</summary>
internal sealed class LinkOptions
{
    internal LinkOptions(SocketTransportOptions options)
    {
        // The server's part of a connection runs on the pool: it may block, and the link must not. Ours
        // runs where the other side happens to be.
        var pool = PipeScheduler.ThreadPool;
        Input = new PipeOptions(readerScheduler: pool, writerScheduler: PipeScheduler.Inline, pauseWriterThreshold: 0, resumeWriterThreshold: 0, useSynchronizationContext: false);
        // None means without a limit, as there.
        var most = options.MaxWriteBufferSize ?? 0;
        Output = new PipeOptions(readerScheduler: PipeScheduler.Inline, writerScheduler: pool, pauseWriterThreshold: most, resumeWriterThreshold: most / 2, useSynchronizationContext: false);
    }

    /// <summary>From the host to the server.</summary>
    internal PipeOptions Input { get; }

    /// <summary>From the server to the host.</summary>
    internal PipeOptions Output { get; }
}

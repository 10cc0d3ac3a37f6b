using System.IO;

namespace Ancm.Server;

/// <summary>What the streams of both bodies have in common.</summary>
internal abstract class BodyStream : Stream
{
    /// <summary>
    /// As <see cref="Stream.ValidateBufferArguments"/>, but nothing may be read from or written to
    /// nowhere: apps written for IIS do that to probe a body.
    /// </summary>
    protected static void ValidateArguments(byte[] buffer, int offset, int count)
    {
        if (buffer is not null || offset != 0 || count != 0)
        {
            ValidateBufferArguments(buffer!, offset, count);
        }
    }
}

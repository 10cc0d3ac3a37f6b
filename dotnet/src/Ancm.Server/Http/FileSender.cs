using System;
using System.IO;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Server;

/// <summary>Copies a part of a file straight into the response's native blocks.</summary>
internal static class FileSender
{
    private const int PieceSize = 64 * 1024;

    internal static async Task SendAsync(
        PipeWriter writer, string path, long offset, long? count, CancellationToken cancellationToken)
    {
        using var file = File.OpenHandle(path, options: FileOptions.Asynchronous | FileOptions.SequentialScan);
        var length = RandomAccess.GetLength(file);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, length);
        var left = count ?? length - offset;
        ArgumentOutOfRangeException.ThrowIfNegative(left, nameof(count));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(left, length - offset, nameof(count));

        while (left > 0)
        {
            var into = writer.GetMemory((int)Math.Min(left, PieceSize));
            if (into.Length > left)
            {
                into = into[..(int)left];
            }

            var read = await RandomAccess.ReadAsync(file, into, offset, cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                // The file has shrunk meanwhile; the length check at the end reports it.
                return;
            }

            writer.Advance(read);
            offset += read;
            left -= read;
            await writer.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        await writer.FlushAsync(cancellationToken).ConfigureAwait(false);
    }
}

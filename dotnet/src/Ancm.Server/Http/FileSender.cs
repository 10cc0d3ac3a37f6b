using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Server;

/// <summary>Copies a part of a file straight into the response's native blocks.</summary>
internal static class FileSender
{
    private const int PieceSize = 64 * 1024;

    internal static async Task SendAsync(
        ResponseWriter writer, string path, long offset, long? count, CancellationToken cancellationToken)
    {
        // As the framework's own copy does it, down to the exceptions.
        var length = new FileInfo(path).Length;
        if (offset < 0 || offset > length)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, string.Empty);
        }

        var left = count ?? length - offset;
        if (left < 0 || left > length - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(count), left, string.Empty);
        }

        cancellationToken.ThrowIfCancellationRequested();
        using var file = File.OpenHandle(path, options: FileOptions.Asynchronous | FileOptions.SequentialScan);
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

            writer.Fill(read);
            offset += read;
            left -= read;
            await writer.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}

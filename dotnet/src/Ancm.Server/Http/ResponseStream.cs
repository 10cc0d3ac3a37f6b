using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Server;

/// <summary>
/// The response body as a stream, or what goes out behind an upgrade; every write is a write and a
/// flush of the pipe.
/// </summary>
internal sealed class ResponseStream : BodyStream
{
    private readonly HostContext _context;
    private readonly ResponseWriter _writer;
    private readonly bool _isOfUpgrade;

    internal ResponseStream(HostContext context, ResponseWriter writer, bool isOfUpgrade = false)
    {
        _isOfUpgrade = isOfUpgrade;
        _context = context;
        _writer = writer;
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ThrowIfUpgraded();
        var written = _writer.Write(buffer, cancellationToken);
        return written.IsCompletedSuccessfully ? Done(written.Result) : Await(written);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateArguments(buffer, offset, count);
        return WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    public override Task FlushAsync(CancellationToken cancellationToken)
    {
        var flushed = _writer.FlushAsync(cancellationToken);
        return flushed.IsCompletedSuccessfully ? Task.CompletedTask : flushed.AsTask();
    }

    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateArguments(buffer, offset, count);
        Write(buffer.AsSpan(offset, count));
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        ThrowIfUpgraded();
        ThrowIfAsynchronousOnly();
        if (_context.WaitsForCallbacks)
        {
            _context.CallOnStarting().GetAwaiter().GetResult();
        }

        while (buffer.Length > ResponseWriter.HighWater)
        {
            _writer.Append(buffer[..ResponseWriter.HighWater]);
            buffer = buffer[ResponseWriter.HighWater..];
            _writer.FlushAsync().AsTask().GetAwaiter().GetResult();
        }

        _writer.Append(buffer);
        _writer.FlushAsync().AsTask().GetAwaiter().GetResult();
    }

    public override void Flush()
    {
        ThrowIfAsynchronousOnly();
        _writer.FlushAsync().AsTask().GetAwaiter().GetResult();
    }

    public override IAsyncResult BeginWrite(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state)
        => TaskToAsyncResult.Begin(WriteAsync(buffer, offset, count, CancellationToken.None), callback, state);

    public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private static ValueTask Done(System.IO.Pipelines.FlushResult result)
        => result.IsCanceled ? ValueTask.FromCanceled(new CancellationToken(canceled: true)) : default;

    private static async ValueTask Await(ValueTask<System.IO.Pipelines.FlushResult> written)
        => await written.ConfigureAwait(false);

    private void ThrowIfUpgraded()
    {
        if (!_isOfUpgrade)
        {
            _context.CheckNotUpgraded();
        }
    }

    private void ThrowIfAsynchronousOnly()
    {
        if (!_context.AllowSynchronousIO)
        {
            throw new InvalidOperationException(
                "Synchronous operations are disallowed. Call WriteAsync or set AllowSynchronousIO to true instead.");
        }
    }
}

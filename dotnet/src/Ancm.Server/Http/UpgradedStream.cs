using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Server;

/// <summary>Both directions of an upgraded connection. One per upgrade, so it may be allocated.</summary>
internal sealed class UpgradedStream : Stream
{
    private readonly RequestStream _request;
    private readonly ResponseStream _response;

    internal UpgradedStream(RequestStream request, ResponseStream response)
    {
        _request = request;
        _response = response;
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _request.ReadAsync(buffer, cancellationToken);

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => _request.ReadAsync(buffer, offset, count, cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => _request.Read(buffer, offset, count);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        => _response.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => _response.WriteAsync(buffer, offset, count, cancellationToken);

    public override void Write(byte[] buffer, int offset, int count) => _response.Write(buffer, offset, count);

    public override Task FlushAsync(CancellationToken cancellationToken) => _response.FlushAsync(cancellationToken);

    public override void Flush() => _response.Flush();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}

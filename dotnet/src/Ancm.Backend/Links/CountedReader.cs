using System;
using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Backend.Links;

/// <summary>Reads a pipe and says how much was consumed.</summary>
internal sealed class CountedReader : PipeReader
{
    private readonly PipeReader _reader;
    private readonly Action<int> _consumed;
    private ReadOnlySequence<byte> _buffer;

    internal CountedReader(PipeReader reader, Action<int> consumed)
    {
        _reader = reader;
        _consumed = consumed;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        // Before the memory goes back: what a position means is over then.
        var count = (int)_buffer.Slice(_buffer.Start, consumed).Length;
        _buffer = default;
        _reader.AdvanceTo(consumed, examined);
        if (count > 0)
        {
            _consumed(count);
        }
    }

    public override void CancelPendingRead() => _reader.CancelPendingRead();

    public override void Complete(Exception? exception = null) => _reader.Complete(exception);

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        var read = _reader.ReadAsync(cancellationToken);
        if (!read.IsCompletedSuccessfully)
        {
            return WaitAsync(read);
        }

        var result = read.Result;
        _buffer = result.Buffer;
        return new ValueTask<ReadResult>(result);
    }

    public override bool TryRead(out ReadResult result)
    {
        var has = _reader.TryRead(out result);
        if (has)
        {
            _buffer = result.Buffer;
        }

        return has;
    }

    // Each request waits once.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> WaitAsync(ValueTask<ReadResult> read)
    {
        var result = await read.ConfigureAwait(false);
        _buffer = result.Buffer;
        return result;
    }
}

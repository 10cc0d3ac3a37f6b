using System;
using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Ancm.Server;

/// <summary>
/// The request body as a pipe over one contiguous buffer from the shared pool. Most readers consume
/// as they go, so it rarely grows; those that want everything at once get it in one piece.
/// </summary>
internal sealed class RequestReader : PipeReader
{
    private const int FirstSize = 4096;

    private readonly RequestBody _body;
    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private int _examined;
    private bool _ended;
    private bool _completed;
    private bool _cancelNext;
    // A read that was canceled need not be followed by an advance.
    private bool _isReading;
    private bool _mayAdvance;
    private ReadOnlySequence<byte> _handedOut;

    // That of the context, under which the buffer is given away at the end.
    private readonly object _gate;

    internal RequestReader(RequestBody body, object gate)
    {
        _body = body;
        _gate = gate;
    }

    private int Unread => _end - _start;

    /// <summary>Ready for the next request.</summary>
    internal void End()
    {
        if (_buffer.Length > 0)
        {
            if (!_isReading)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
            }

            // What is still in the app's hands must not become another request's.
            _buffer = [];
        }

        _start = _end = _examined = 0;
        _ended = _completed = _cancelNext = _isReading = _mayAdvance = false;
        _handedOut = default;
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<ReadResult>(cancellationToken);
        }

        try
        {
            ThrowIfReading();
            return HasMore || Fill() ? new(HandOut()) : ReadAfterWait(cancellationToken);
        }
        catch (Exception error)
        {
            return ValueTask.FromException<ReadResult>(error);
        }
    }

    public override bool TryRead(out ReadResult result)
    {
        ThrowIfReading();
        if (HasMore || Fill(isWaiting: false))
        {
            result = HandOut();
            return true;
        }

        result = default;
        return false;
    }

    /// <summary>For the stream: what was read and not consumed; false when there is nothing of it.</summary>
    internal bool TryTake(Span<byte> into, out int taken)
    {
        lock (_gate)
        {
            ThrowIfCompleted();
            taken = Math.Min(Unread, into.Length);
            _buffer.AsSpan(_start, taken).CopyTo(into);
            _start += taken;
            _examined = Math.Max(_examined, _start);
            return taken > 0 || _ended;
        }
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        ThrowIfCompleted();
        if (!_mayAdvance)
        {
            throw new InvalidOperationException("No reading operation to complete.");
        }

        var size = (int)_handedOut.Length;
        var offset = size - (int)_handedOut.Slice(consumed).Length;
        var seen = size - (int)_handedOut.Slice(examined).Length;
        if (seen < offset)
        {
            throw new InvalidOperationException("The examined position must be greater than or equal to the consumed position.");
        }

        _examined = Math.Max(_start + seen, _start + offset);
        _start += offset;
        _handedOut = default;
        _isReading = _mayAdvance = false;
        if (_start == _end)
        {
            _start = _end = _examined = 0;
        }
    }

    public override void CancelPendingRead()
    {
        _body.ThrowIfClosed();
        _cancelNext = true;
        _body.CancelWait();
    }

    public override void Complete(Exception? exception = null)
    {
        _body.ThrowIfClosed();
        _completed = true;
        if (exception is not null)
        {
            _body.Fail(exception);
        }
    }

    /// <summary>Whether there is something to hand out that has not been looked at.</summary>
    private bool HasMore => _cancelNext || _ended || _end > _examined;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> ReadAfterWait(CancellationToken cancellationToken)
    {
        do
        {
            await _body.Wait(cancellationToken).ConfigureAwait(false);
            _body.ThrowIfGivenUp();
        }
        while (!_cancelNext && !Fill());

        return HandOut();
    }

    /// <summary>Adds what is there; false when nothing is, yet.</summary>
    private bool Fill(bool isWaiting = true)
    {
        lock (_gate)
        {
            // Before anything is rented for a request that is over.
            ThrowIfCompleted();
            MakeRoom();
            var into = _buffer.AsSpan(_end);
            var read = isWaiting ? _body.TryRead(into) : _body.TryReadNow(into);
            if (read < 0)
            {
                return false;
            }

            _end += read;
            _ended = read == 0;
            return true;
        }
    }

    private ReadResult HandOut()
    {
        var canceled = _cancelNext;
        _cancelNext = false;
        _isReading = !canceled;
        _mayAdvance = true;
        _handedOut = new ReadOnlySequence<byte>(_buffer, _start, Unread);
        return new ReadResult(_handedOut, canceled, _ended);
    }

    private void MakeRoom()
    {
        if (_end < _buffer.Length)
        {
            return;
        }

        if (_start > _buffer.Length / 2)
        {
            Buffer.BlockCopy(_buffer, _start, _buffer, 0, Unread);
        }
        else
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(FirstSize, _buffer.Length * 2));
            Buffer.BlockCopy(_buffer, _start, larger, 0, Unread);
            if (_buffer.Length > 0)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
            }

            _buffer = larger;
        }

        _end -= _start;
        _examined -= _start;
        _start = 0;
    }

    private void ThrowIfReading()
    {
        ThrowIfCompleted();
        if (_isReading)
        {
            throw new InvalidOperationException("Reading is already in progress.");
        }
    }

    private void ThrowIfCompleted()
    {
        _body.ThrowIfClosed();
        if (_completed)
        {
            throw new InvalidOperationException("Reading is not allowed after reader was completed.");
        }
    }
}

using System;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;
using System.Threading.Tasks.Sources;

namespace Ancm.Backend.Links;

/// <summary>
/// What the server writes on a channel: a pipe whose blocks go to the link as they are, as far as the
/// host has granted room. The server waits when more than its limit is left here.
/// </summary>
internal sealed class ChannelWriter : PipeWriter, IValueTaskSource<FlushResult>
{
    private readonly Link _link;
    private readonly uint _number;
    private readonly LinkOptions _options;

    /// <summary>That of the channel, whose end it must not miss.</summary>
    private readonly object _lock;

    /// <summary>The block that is written to, what of it is not yet in <see cref="_written"/>, and whether somebody is at it.</summary>
    private BlockPool.Block? _block;
    private int _start;
    private int _end;
    private bool _isWriting;
    private bool _isComplete;
    private long _unflushed;

    /// <summary>Under the lock, as everything below.</summary>
    private readonly Written _written = new();

    /// <summary>Bytes that are flushed and wait, and those that the host takes.</summary>
    private long _flushed;
    private int _room = Frame.Window;

    /// <summary>The link tells when it takes more.</summary>
    private bool _waitsForLink;

    /// <summary>Nothing is sent any more.</summary>
    private bool _isEnded;

    /// <summary>The flush that waits, if one does.</summary>
    private ManualResetValueTaskSourceCore<FlushResult> _flush = new() { RunContinuationsAsynchronously = true };
    private bool _isFlushing;
    private bool _isCanceled;
    private CancellationToken _cancellationToken;
    private CancellationTokenRegistration _cancellation;
    private TaskCompletionSource? _given;

    internal ChannelWriter(Link link, uint number, LinkOptions options, object channelLock)
    {
        _link = link;
        _number = number;
        _options = options;
        _lock = channelLock;
    }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _unflushed;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        if (_isComplete)
        {
            throw new InvalidOperationException("The writer is complete.");
        }

        if (_block is null || _block.Bytes.Length - _end < Math.Max(sizeHint, 1))
        {
            _isWriting = false;
            PutAside();
            _block = _options.Blocks.RentBlock(sizeHint);
        }

        _isWriting = true;
        return _block.Memory[_end..];
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, (_block?.Bytes.Length ?? 0) - _end);
        _end += bytes;
        _unflushed += bytes;
        _isWriting = false;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        }

        PutAside();
        lock (_lock)
        {
            _flushed += _unflushed;
            _unflushed = 0;
            Give();
            var isFull = _options.MaxWriteBuffer > 0 && _flushed >= _options.MaxWriteBuffer;
            if (_isCanceled || _isEnded || !isFull)
            {
                var result = new FlushResult(_isCanceled, _isEnded);
                _isCanceled = false;
                return new ValueTask<FlushResult>(result);
            }

            _flush.Reset();
            _isFlushing = true;
            _cancellationToken = cancellationToken;
            _cancellation = cancellationToken.UnsafeRegister(static (writer, token) => ((ChannelWriter)writer!).Cancel(token), this);
            return new ValueTask<FlushResult>(this, _flush.Version);
        }
    }

    public override void CancelPendingFlush()
    {
        lock (_lock)
        {
            _isCanceled = true;
            EndFlush();
        }
    }

    public override void Complete(Exception? exception = null)
    {
        _isComplete = true;
        _isWriting = false;
        PutAside();
        lock (_lock)
        {
            _flushed += _unflushed;
            _unflushed = 0;
            Give();
        }
    }

    /// <summary>Completed when the link has all that was written, or nobody wants it.</summary>
    internal Task WaitUntilGiven()
    {
        lock (_lock)
        {
            if (_isEnded || _flushed == 0)
            {
                return Task.CompletedTask;
            }

            _given ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _given.Task;
        }
    }

    /// <summary>The host takes more. False: more than it could have been sent.</summary>
    internal bool Grant(int bytes)
    {
        lock (_lock)
        {
            _room += bytes;
            if (_room > Frame.Window)
            {
                return false;
            }

            Give();
            return true;
        }
    }

    /// <summary>The link takes more.</summary>
    internal void OnRoom()
    {
        lock (_lock)
        {
            _waitsForLink = false;
            Give();
        }
    }

    /// <summary>Nobody takes anything any more.</summary>
    internal void End()
    {
        lock (_lock)
        {
            _isEnded = true;
            _flushed = 0;
            _written.Clear();
            EndFlush();
            _given?.TrySetResult();
        }
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => _flush.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _flush.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _flush.OnCompleted(continuation, state, token, flags);

    /// <summary>Gives the link what both it and the host have room for.</summary>
    private void Give()
    {
        var count = (int)Math.Min(_flushed, _room);
        if (count > 0 && !_isEnded && !_waitsForLink)
        {
            _waitsForLink = !_link.Send(this, _number, _written, count);
            if (_waitsForLink)
            {
                return;
            }

            _flushed -= count;
            _room -= count;
        }

        if (_flushed == 0)
        {
            _given?.TrySetResult();
        }

        if (_flushed <= _options.MaxWriteBuffer / 2)
        {
            EndFlush();
        }
    }

    private void EndFlush()
    {
        if (_isFlushing)
        {
            _isFlushing = false;
            // Without waiting for it: it may be waiting for the lock.
            _cancellation.Unregister();
            var result = new FlushResult(_isCanceled, _isEnded);
            _isCanceled = false;
            _flush.SetResult(result);
        }
    }

    private void Cancel(CancellationToken token)
    {
        lock (_lock)
        {
            if (_isFlushing && token == _cancellationToken)
            {
                _isFlushing = false;
                _flush.SetException(new OperationCanceledException(token));
            }
        }
    }

    /// <summary>Puts what was written to the current block behind what was written before.</summary>
    private void PutAside()
    {
        if (_block is not { } block)
        {
            return;
        }

        if (_isWriting && _end > _start)
        {
            // Somebody will go on in this block.
            var copy = _options.Blocks.RentBlock(_end - _start);
            block.Bytes.AsSpan(_start, _end - _start).CopyTo(copy.Bytes);
            Keep(copy, 0, _end - _start);
            _start = _end;
        }

        if (_isWriting)
        {
            return;
        }

        Keep(block, _start, _end);
        _block = null;
        _start = 0;
        _end = 0;
    }

    private void Keep(BlockPool.Block block, int start, int end)
    {
        lock (_lock)
        {
            if (end > start && !_isEnded)
            {
                _written.Add(block, start, end);
                return;
            }
        }

        block.Dispose();
    }
}

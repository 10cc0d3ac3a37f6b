using System;
using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Ancm.Backend.Links;

/// <summary>
/// One connection of the server's that a link carries. What the host sends goes into one pipe, which the
/// credit keeps short; what the server writes comes out of another, as the host grants it room.
/// </summary>
internal sealed class LinkChannel : DefaultConnectionContext
{
    private readonly Link _link;
    private readonly uint _number;
    private readonly Pipe _input;
    private readonly Pipe _output;
    private readonly CancellationTokenSource _closed = new();
    private readonly object _lock = new();
    private readonly Task _sending;

    /// <summary>Bytes that the host takes. Under the lock, as the next three.</summary>
    private int _room = Frame.Window;

    /// <summary>Completed when there is room again, or never will be.</summary>
    private TaskCompletionSource? _waiting;

    private bool _isClosedHere;
    private bool _isClosedThere;

    /// <summary>Bytes that the server has consumed, those of them not granted anew, and what the host may send.</summary>
    private int _consumed;
    private int _ungranted;
    private int _granted = Frame.Window;

    internal LinkChannel(Link link, uint number, string name, EndPoint endPoint, LinkOptions options)
        : base(name)
    {
        _link = link;
        _number = number;
        _input = new Pipe(options.Input);
        _output = new Pipe(options.Output);
        Transport = new DuplexPipe(new CountedReader(_input.Reader, OnConsumed), _output.Writer);
        Features.Set<IMemoryPoolFeature>(options);
        LocalEndPoint = endPoint;
        ConnectionClosed = _closed.Token;
        _sending = SendAsync();
    }

    /// <summary>Bytes have come. False: they must not have.</summary>
    internal bool Receive(ReadOnlySpan<byte> bytes)
    {
        if (Interlocked.Add(ref _granted, -bytes.Length) < 0)
        {
            return false;
        }

        // One writer at a time, and none behind the end.
        lock (_input)
        {
            lock (_lock)
            {
                if (_isClosedHere || _isClosedThere)
                {
                    // The host may not know yet that the server has closed; of its own end it knows.
                    return !_isClosedThere;
                }
            }

            _input.Writer.Write(bytes);
            // Completes at once, since the credit is the limit, and whoever reads goes on elsewhere.
            _ = _input.Writer.FlushAsync();
        }

        return true;
    }

    /// <summary>The host takes more. False: more than it could have been sent.</summary>
    internal bool Grant(int bytes)
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            _room += bytes;
            if (_room > Frame.Window)
            {
                return false;
            }

            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.SetResult();
        return true;
    }

    /// <summary>The host has closed the channel, or the link is gone.</summary>
    internal void OnClosed(bool isLinkGone)
    {
        lock (_lock)
        {
            _isClosedThere = true;
            if (_isClosedHere)
            {
                _link.Forget(_number);
            }

            _isClosedHere |= isLinkGone;
        }

        GiveUp(new ConnectionResetException("The client has left."));
    }

    /// <inheritdoc/>
    public override void Abort(ConnectionAbortedException abortReason)
    {
        Close();
        GiveUp(abortReason);
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        await _sending.ConfigureAwait(false);
        Close();
        lock (_input)
        {
            _input.Writer.Complete();
        }

        await base.DisposeAsync().ConfigureAwait(false);
    }

    private void OnConsumed(int count)
    {
        _consumed += count;
        _ungranted += count;
        if (_ungranted < Frame.Window / 2)
        {
            return;
        }

        var grant = _ungranted;
        _ungranted = 0;
        Interlocked.Add(ref _granted, grant);
        lock (_lock)
        {
            if (!_isClosedHere)
            {
                _link.Send(new Frame { Number = _number, Kind = Kind.Credit, Value = grant });
            }
        }
    }

    /// <summary>Says, once, that nothing more will be sent.</summary>
    private void Close()
    {
        lock (_lock)
        {
            if (!_isClosedHere)
            {
                _isClosedHere = true;
                if (_isClosedThere)
                {
                    // First, because the host may use the number again as soon as it is told.
                    _link.Forget(_number);
                }

                var taken = Volatile.Read(ref _consumed) & 0xFF_FFFF;
                _link.Send(new Frame { Number = _number, Kind = Kind.Close, Value = taken });
            }
        }
    }

    /// <summary>Ends what waits for the host.</summary>
    private void GiveUp(Exception reason)
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.SetResult();
        lock (_input)
        {
            _input.Writer.Complete(reason);
        }

        _output.Reader.CancelPendingRead();
        // What the app has registered there runs on the thread that cancels.
        ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
    }

    private async Task SendAsync()
    {
        var reader = _output.Reader;
        Exception? broken = null;
        try
        {
            while (true)
            {
                var result = await reader.ReadAsync().ConfigureAwait(false);
                var rest = result.Buffer;
                while (!rest.IsEmpty && TrySend(rest) is { } sent)
                {
                    rest = rest.Slice(sent.Count);
                    await sent.Room.ConfigureAwait(false);
                }

                reader.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted || IsClosed())
                {
                    break;
                }
            }
        }
        catch (Exception error)
        {
            broken = error;
        }

        await reader.CompleteAsync(broken).ConfigureAwait(false);
    }

    /// <summary>Sends what there is room for; null when nobody takes it any more.</summary>
    private (long Count, Task Room)? TrySend(in ReadOnlySequence<byte> bytes)
    {
        lock (_lock)
        {
            if (_isClosedHere || _isClosedThere)
            {
                return null;
            }

            var count = Math.Min(bytes.Length, Math.Min(_room, Frame.MaxPayload));
            if (count > 0 && _link.WaitForRoom() is { } later)
            {
                return (0, later);
            }

            if (count > 0)
            {
                _room -= (int)count;
                _link.Send(new Frame { Number = _number, Kind = Kind.Data, Value = (int)count }, bytes.Slice(0, count));
                return (count, Task.CompletedTask);
            }

            _waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return (0, _waiting.Task);
        }
    }

    private bool IsClosed()
    {
        lock (_lock)
        {
            return _isClosedHere || _isClosedThere;
        }
    }

    private sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input { get; } = input;

        public PipeWriter Output { get; } = output;
    }
}

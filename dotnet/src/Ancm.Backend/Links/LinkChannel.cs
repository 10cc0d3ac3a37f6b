using System;
using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

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
    private readonly ChannelWriter _output;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closed = new();
    private readonly object _lock = new();

    /// <summary>Who has ended the channel; under the lock.</summary>
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
        _logger = options.Logger;
        _input = new Pipe(options.Input);
        _output = new ChannelWriter(link, number, options, _lock);
        Transport = new DuplexPipe(new CountedReader(_input.Reader, OnConsumed), _output);
        Features.Set<IMemoryPoolFeature>(options);
        LocalEndPoint = endPoint;
        ConnectionClosed = _closed.Token;
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
    internal bool Grant(int bytes) => _output.Grant(bytes);

    /// <summary>The host has closed the channel, or the link is gone.</summary>
    internal void OnClosed(bool isLinkGone)
    {
        lock (_lock)
        {
            _isClosedThere = true;
            _output.End();
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
        // Together: the host's own end comes as soon as it knows of ours, and is not the reason.
        lock (_input)
        {
            Close();
            GiveUp(abortReason);
        }
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        await _output.WaitUntilGiven().ConfigureAwait(false);
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
                _output.End();
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
        lock (_input)
        {
            _input.Writer.Complete(reason);
        }

        // What the app has registered there runs on the thread that cancels.
        ThreadPool.UnsafeQueueUserWorkItem(static channel => channel.TellOfEnd(), this, preferLocal: false);
    }

    private void TellOfEnd()
    {
        try
        {
            _closed.Cancel();
        }
        catch (Exception error)
        {
            _logger.LogError(error, "Connection id \"{ConnectionId}\": a callback of ConnectionClosed has thrown.", ConnectionId);
        }
    }

    private sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input { get; } = input;

        public PipeWriter Output { get; } = output;
    }
}

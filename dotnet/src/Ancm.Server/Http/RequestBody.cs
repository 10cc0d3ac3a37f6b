using System;
using System.Globalization;
using System.IO;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The source of request body bytes under stream and pipe: first what arrived with the head, then
/// what the engine hands over. Knows the size limit. One reader at a time.
/// </summary>
internal sealed class RequestBody
{
    private readonly HostContext _context;
    private readonly Waiter _readable;
    private unsafe byte* _inline;
    private int _inlineLeft;
    private bool _more;
    private bool _expected;
    private bool _started;
    private long _consumed;
    private long _declared;
    private Exception? _failure;

    internal RequestBody(HostContext context)
    {
        _context = context;
        _readable = new Waiter(StopWaiting);
    }

    /// <summary>Largest body that will be handed out; null for no limit.</summary>
    internal long? Limit { get; set; }

    /// <summary>
    /// The pipe over this body, once somebody has asked for it: what it has taken and not given away
    /// belongs to readers of the stream, too.
    /// </summary>
    internal RequestReader? Reader { get; set; }

    /// <summary>The limit cannot change any more.</summary>
    internal bool IsLimitFixed => _started || IsUpgraded;

    internal bool IsUpgraded { get; private set; }

    /// <summary>Everything was read; what came behind the body is known.</summary>
    internal bool IsOver => !_expected || (_started && _inlineLeft == 0 && (!_more || _consumed == _declared));

    internal unsafe void Begin(NativeExchange* exchange)
    {
        _inline = exchange->Body.Ptr;
        _inlineLeft = (int)exchange->Body.Len;
        _more = (exchange->Flags & (RequestFlags.HasBody | RequestFlags.BodyComplete)) == RequestFlags.HasBody;
        _expected = (exchange->Flags & RequestFlags.HasBody) != 0;
        _declared = exchange->ContentLength;
        _started = false;
        _consumed = 0;
        _failure = null;
        IsUpgraded = false;
        Limit = _context.Settings.MaxRequestBodySize;
    }

    /// <summary>The request is over; somebody who still waits finds that out.</summary>
    internal void End()
    {
        _more = false;
        _inlineLeft = 0;
        _readable.Set();
    }

    /// <summary>After 101 the connection's own bytes are the body, without framing or limit.</summary>
    internal void Upgrade()
    {
        IsUpgraded = true;
        _more = true;
    }

    internal void OnReadable(bool inline = false)
    {
        if (_readable.Disarm())
        {
            _readable.Complete(inline: inline);
        }
    }

    /// <summary>Lets a reader go that waits without a token of its own.</summary>
    internal void CancelWait()
    {
        StopWaiting();
        _readable.Set(canceled: true);
    }

    /// <summary>
    /// Reads what is there: a count, 0 at the end, or -1 when <see cref="Wait"/> must come first.
    /// </summary>
    internal int TryRead(Span<byte> into)
    {
        lock (_context.Gate)
        {
            Start();
            if (_inlineLeft > 0)
            {
                var inline = TakeInline(into.Length);
                inline.CopyTo(into);
                Count(inline.Length);
                return inline.Length;
            }

            return _more ? ReadNative(into) : 0;
        }
    }

    /// <summary>Reads what is there for somebody who will not wait; -1 when that is nothing.</summary>
    internal int TryReadNow(Span<byte> into)
    {
        var read = TryRead(into);
        if (read < 0)
        {
            StopWaiting();
            _readable.Withdraw();
        }

        return read;
    }

    /// <summary>The client's time does not run any more: nobody waits for it.</summary>
    internal unsafe void StopWaiting()
    {
        lock (_context.Gate)
        {
            if (_context.Exchange is not null)
            {
                Interlocked.And(ref _context.Exchange->Waiting, ~WaitingFlags.Body);
            }
        }
    }

    /// <summary>Whether this is what reads of the body fail with.</summary>
    internal bool IsFailure(Exception error) => ReferenceEquals(error, _failure);

    /// <summary>The app says itself that it cannot make anything of the body.</summary>
    internal void Fail(Exception error) => _context.Report(error);

    /// <summary>Completes when reading makes sense again, successfully or not.</summary>
    internal ValueTask Wait(CancellationToken cancellationToken) => _readable.Wait(cancellationToken);

    /// <summary>Throws when the app has ended: the body is nobody's.</summary>
    internal void ThrowIfClosed()
    {
        if (_context.IsClosed)
        {
            throw new ObjectDisposedException("RequestBody", "The request has ended; its body cannot be read.");
        }
    }

    /// <summary>A wait that the app's own abort has ended is canceled, as on Kestrel.</summary>
    internal void ThrowIfGivenUp()
    {
        if (_context.IsAbortedByApp)
        {
            throw new TaskCanceledException("The request was aborted by the application.");
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    internal async ValueTask<int> ReadAfterWait(Memory<byte> into, CancellationToken cancellationToken)
    {
        while (true)
        {
            await Wait(cancellationToken).ConfigureAwait(false);
            ThrowIfGivenUp();
            var read = TryRead(into.Span);
            if (read >= 0)
            {
                return read;
            }
        }
    }

    /// <summary>Bytes that arrived with the head, in place.</summary>
    private unsafe ReadOnlySpan<byte> TakeInline(int max)
    {
        var taken = new ReadOnlySpan<byte>(_inline, Math.Min(_inlineLeft, max));
        _inline += taken.Length;
        _inlineLeft -= taken.Length;
        return taken;
    }

    private unsafe void Start()
    {
        if (_started && _failure is not null)
        {
            throw _failure;
        }

        ThrowIfClosed();
        if (_context.IsAbortedByApp)
        {
            throw new ConnectionAbortedException("The connection was aborted by the application.");
        }

        if (!_started)
        {
            if (_context.Exchange->ContentLength > Limit)
            {
                // Nothing was read yet: the limit may still be raised, and the body read then.
                throw _failure ?? TooLarge();
            }

            _failure = null;
            _started = true;
        }
    }

    private unsafe int ReadNative(Span<byte> into)
    {
        if (into.IsEmpty)
        {
            return 0;
        }

        // Armed before the call: the event may come before the call has returned.
        _readable.Arm();
        var read = NativeApi.Read(_context.Exchange, _context.Id, into);
        if (read == ReadResult.WouldBlock)
        {
            return -1;
        }

        _readable.Withdraw();
        switch (read)
        {
            case > 0:
                Count((int)read);
                return (int)read;
            case ReadResult.End:
                _more = false;
                return 0;
            case ReadResult.Malformed:
                throw Refuse(new BadHttpRequestException("Bad chunk in the request body.", StatusCodes.Status400BadRequest));
            case ReadResult.TooSlow:
                throw Refuse(new BadHttpRequestException(
                    "Reading the request body timed out due to data arriving too slowly. See MinRequestBodyDataRate.",
                    StatusCodes.Status408RequestTimeout));
            case ReadResult.Stale:
                throw _failure = new ObjectDisposedException("RequestBody", "The request has ended; its body cannot be read.");
            default:
                throw _failure = new ConnectionResetException("The client has disconnected");
        }
    }

    private void Count(int bytes)
    {
        _consumed += bytes;
        if (_consumed > Limit && !IsUpgraded)
        {
            throw TooLarge();
        }
    }

    private BadHttpRequestException TooLarge()
        => Refuse(new BadHttpRequestException(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Request body too large. The max request body size is {Limit} bytes."),
            StatusCodes.Status413PayloadTooLarge));

    /// <summary>From now on every read fails like this; the log has it whatever the app makes of it.</summary>
    private BadHttpRequestException Refuse(BadHttpRequestException error)
    {
        _failure = error;
        _context.LogBadRequest(error);
        _context.CloseUnlessStarted();
        return error;
    }
}

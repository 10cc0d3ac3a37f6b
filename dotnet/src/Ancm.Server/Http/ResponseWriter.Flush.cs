using System;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// Flushing: bytes go to the lane at once; the app goes on at once, too, unless the client is so
/// far behind that the engine would have to hold more than the high-water mark for it.
/// </summary>
internal sealed unsafe partial class ResponseWriter
{
    /// <summary>
    /// Unsent bytes above which a flush waits; the engine wakes it at half. A wait costs a turn
    /// of the lane, so common answers stay below; a client that takes nothing holds this much.
    /// </summary>
    internal const int HighWater = 256 * 1024;

    private readonly Waiter _space = new();
    private TaskCompletionSource<FlushResult>? _sharedFlush;
    private bool _cancelNext;

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Canceled(cancellationToken);
        }

        lock (_context.Gate)
        {
            if (TryFlush(cancellationToken, out var flush))
            {
                return flush;
            }
        }

        return FlushAfterStart(cancellationToken);
    }

    public override ValueTask<FlushResult> WriteAsync(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        _context.CheckNotUpgraded();
        return Write(source, cancellationToken);
    }

    /// <summary>Writes and flushes, what the response is as well as what comes behind an upgrade.</summary>
    internal ValueTask<FlushResult> Write(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        if (source.Length > HighWater)
        {
            return WritePieces(source, cancellationToken);
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return Canceled(cancellationToken);
        }

        if (_context.WaitsForCallbacks)
        {
            return WriteAfterCallbacks(source, cancellationToken);
        }

        lock (_context.Gate)
        {
            AppendNow(source.Span);
            if (TryFlush(cancellationToken, out var flush))
            {
                return flush;
            }
        }

        return FlushAfterStart(cancellationToken);
    }

    public override void CancelPendingFlush()
    {
        ThrowIfClosed();
        _cancelNext = !_space.IsArmed;
        _space.Set(canceled: true);
    }

    /// <summary>An event of the lane, or the end of everything.</summary>
    internal void OnWritable(bool inline = false)
    {
        var isWaited = _space.Disarm();
        // Behind the disarming, which joiners look at; before what may end the request inline.
        Interlocked.Exchange(ref _sharedFlush, null)?.TrySetResult(default);
        if (isWaited)
        {
            _space.Complete(inline: inline);
        }
    }

    /// <summary>False when callbacks of the app come first: they are not called with the gate held.</summary>
    private bool TryFlush(CancellationToken cancellationToken, out ValueTask<FlushResult> flush)
    {
        flush = default;
        if (_context.IsEnded)
        {
            ThrowIfClosed();
            return true;
        }

        if (!_context.TryStart())
        {
            return false;
        }

        flush = Push() ? Result() : WaitForSpace(cancellationToken);
        return true;
    }

    /// <summary>Publishes; true when the app may go on at once.</summary>
    private bool Push()
    {
        Commit();
        _context.Flushed();
        return Unsent <= HighWater || _context.IsAborted;
    }

    private ulong Unsent => _committedTotal - Volatile.Read(ref _exchange->Sent);

    private ValueTask<FlushResult> Result()
    {
        var canceled = _cancelNext;
        _cancelNext = false;
        var nobodyReads = _context.IsAborted;
        return canceled || nobodyReads ? new(new FlushResult(canceled, nobodyReads)) : default;
    }

    private ValueTask<FlushResult> WaitForSpace(CancellationToken cancellationToken)
    {
        if (_space.IsArmed)
        {
            return JoinFlush();
        }

        _space.Arm();
        Interlocked.Or(ref _exchange->Waiting, WaitingFlags.Space);
        // The engine sends, then looks whether somebody waits; we say so, then look again.
        if (Unsent <= HighWater / 2 || _context.IsAborted || _cancelNext)
        {
            _space.Withdraw();
            return Result();
        }

        return _space.WaitFlush(cancellationToken);
    }

    /// <summary>A flush beside one that waits already. Rare, so it may allocate.</summary>
    private ValueTask<FlushResult> JoinFlush()
    {
        var created = new TaskCompletionSource<FlushResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var shared = Interlocked.CompareExchange(ref _sharedFlush, created, null) ?? created;
        if (!_space.IsArmed)
        {
            OnWritable();
        }

        return new(shared.Task);
    }
}

/// <summary>The ways that wait; an unsafe context may not.</summary>
internal sealed partial class ResponseWriter
{
    public override async ValueTask CompleteAsync(Exception? exception = null)
    {
        ThrowIfClosed();
        if (exception is not null)
        {
            _context.FailBody(exception);
        }

        await _context.CompleteAsync().ConfigureAwait(false);
        _completed = true;
    }

    /// <summary>A canceled task that throws what code that checks its token throws.</summary>
    private static async ValueTask<FlushResult> Canceled(CancellationToken cancellationToken)
    {
        await default(ValueTask);
        throw new OperationCanceledException(cancellationToken);
    }

    private async ValueTask<FlushResult> FlushAfterStart(CancellationToken cancellationToken)
    {
        await _context.StartAsync(cancellationToken).ConfigureAwait(false);
        return await FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The length and status that a first write has to keep to are those that the callbacks leave.</summary>
    private async ValueTask<FlushResult> WriteAfterCallbacks(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        await _context.CallOnStarting().ConfigureAwait(false);
        return await Write(source, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<FlushResult> WritePieces(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (_context.WaitsForCallbacks)
        {
            await _context.CallOnStarting().ConfigureAwait(false);
        }

        var result = default(FlushResult);
        try
        {
            while (!source.IsEmpty)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var part = Math.Min(source.Length, HighWater);
                Append(source.Span[..part]);
                source = source[part..];
                result = await FlushAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!source.IsEmpty)
        {
            // A part is on its way; whatever came behind it, nobody could tell that there is a gap.
            _context.Abort();
            throw;
        }

        return result;
    }
}

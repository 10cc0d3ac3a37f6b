using System;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;
using System.Threading.Tasks.Sources;

namespace Ancm.Server;

/// <summary>
/// Waits for one event of the worker at a time, without allocation. Armed before the worker is
/// told that somebody waits, so that an event in between is not lost; whoever disarms it first
/// (event, cancellation, end of the request) completes it. The continuation runs on the pool, or in
/// the call of a lane that has yielded.
/// </summary>
internal sealed class Waiter(Action? onCancel = null) : IValueTaskSource, IValueTaskSource<FlushResult>
{
    private ManualResetValueTaskSourceCore<bool> _core;
    private CancellationTokenRegistration _registration;
    private int _armed;

    internal bool IsArmed => Volatile.Read(ref _armed) != 0;

    internal void Arm()
    {
        _core.Reset();
        Interlocked.Exchange(ref _armed, 1);
    }

    /// <summary>Takes the arming back, because there is no need to wait.</summary>
    internal void Withdraw()
    {
        if (Disarm())
        {
            return;
        }

        // An event was faster. It must have left before the next arming resets what it completes.
        var spinner = default(SpinWait);
        while (_core.GetStatus(_core.Version) == ValueTaskSourceStatus.Pending)
        {
            spinner.SpinOnce();
        }
    }

    internal ValueTask Wait(CancellationToken cancellationToken)
    {
        Register(cancellationToken);
        return new ValueTask(this, _core.Version);
    }

    internal ValueTask<FlushResult> WaitFlush(CancellationToken cancellationToken)
    {
        Register(cancellationToken);
        return new ValueTask<FlushResult>(this, _core.Version);
    }

    /// <summary>Ends the wait. <paramref name="canceled"/> becomes the result of a flush.</summary>
    internal void Set(bool canceled = false)
    {
        if (Disarm())
        {
            Complete(canceled);
        }
    }

    /// <summary>True for the one who may complete the wait, and has to.</summary>
    internal bool Disarm() => Interlocked.Exchange(ref _armed, 0) != 0;

    /// <summary>
    /// Ends a wait that was disarmed. Only who holds no lock, and touches nothing of the request
    /// afterwards, may have its continuation run <paramref name="inline"/>.
    /// </summary>
    internal void Complete(bool canceled = false, bool inline = false)
    {
        _core.RunContinuationsAsynchronously = !inline;
        _core.SetResult(canceled);
    }

    void IValueTaskSource.GetResult(short token) => Take(token);

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => new(isCanceled: Take(token), isCompleted: false);

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        try
        {
            _core.OnCompleted(continuation, state, token, flags);
        }
        catch (InvalidOperationException)
        {
            // Two wait where one may, and this one is too late. An exception from here would end the
            // process; it finds the same one where it asks for the result.
            ThreadPool.QueueUserWorkItem(continuation, state, preferLocal: false);
        }
    }

    private void Register(CancellationToken cancellationToken)
    {
        if (cancellationToken.CanBeCanceled)
        {
            _registration = cancellationToken.UnsafeRegister(
                static (waiter, token) => ((Waiter)waiter!).Cancel(token), this);
        }
    }

    private void Cancel(CancellationToken cancellationToken)
    {
        if (Disarm())
        {
            onCancel?.Invoke();
            _core.RunContinuationsAsynchronously = true;
            _core.SetException(new OperationCanceledException(cancellationToken));
        }
    }

    private bool Take(short token)
    {
        // Waits for a callback that is running, so that it cannot cancel the next wait instead.
        _registration.Dispose();
        _registration = default;
        return _core.GetResult(token);
    }
}

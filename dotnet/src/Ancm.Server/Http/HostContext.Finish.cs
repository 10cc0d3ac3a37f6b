using System;
using System.Runtime.CompilerServices;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;

namespace Ancm.Server;

/// <summary>What may have to wait for the app: its task and its callbacks.</summary>
internal abstract partial class HostContext
{
    // An end that the app has asked for without waiting, and that has to wait for its callbacks.
    private Task? _completing;

    public async Task CompleteAsync()
    {
        if (IsEnded)
        {
            return;
        }

        if (WaitsForCallbacks && _error is null)
        {
            // What fails here is answered, and nothing that whoever ends the response has to hear of.
            await TryOnStarting().ConfigureAwait(false);
        }

        lock (Gate)
        {
            EndBody();
            if (_phase == Phase.Open)
            {
                if (_error is null)
                {
                    Start(isOver: true);
                }

                EndResponse(_error);
            }
        }
    }

    /// <summary>Ends the response for somebody who does not wait; the end of the app does.</summary>
    internal void Complete()
    {
        var complete = CompleteAsync();
        if (complete.IsCompleted)
        {
            complete.GetAwaiter().GetResult();
        }
        else
        {
            _completing = complete;
        }
    }

    /// <summary>Ends a response that has started; throws when it is shorter than was announced.</summary>
    private void EndBody()
    {
        if (IsEnded)
        {
            return;
        }

        if (_error is null && LengthError() is { } error)
        {
            throw error;
        }

        if (_phase == Phase.Started)
        {
            EndResponse(_error);
        }
    }

    /// <summary>The app says itself that the body is not what it should have been.</summary>
    internal void FailBody(Exception error)
    {
        if (!IsEnded)
        {
            Report(new ConnectionAbortedException("The BodyPipe was completed with an exception.", error));
        }
    }

    /// <summary>Calls what the app wants to have called before the response starts.</summary>
    internal async Task CallOnStarting()
    {
        ThrowIfFailed();
        await TryOnStarting().ConfigureAwait(false);
        ThrowIfFailed();
    }

    private async Task TryOnStarting()
    {
        try
        {
            await FireOnStarting().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // The request has failed, whatever the app makes of it; the rest is not called.
            Report(error);
            _onStarting.Clear();
        }
    }

    /// <summary>The numbered steps are those of the specification of a request's end.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private protected async ValueTask FinishAsync(Task task)
    {
        // 1. The app ends or throws.
        try
        {
            await task.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            Report(error);
        }

        if (_completing is { } completing)
        {
            _completing = null;
            try
            {
                await completing.ConfigureAwait(false);
            }
            catch (Exception error)
            {
                Report(error);
            }
        }

        // 2. Callbacks that wait for the start of the response.
        if (_phase == Phase.Open && HasOnStarting && _error is null)
        {
            await TryOnStarting().ConfigureAwait(false);
        }

        // 3–6. The client sees the end before callbacks that may take their time. Without any it goes out
        // with the release: what follows on the connection then finds this object at rest.
        lock (Gate)
        {
            if (_phase != Phase.Ended)
            {
                EndResponse(_error, publish: HasOnCompleted);
            }

            _phase = Phase.Closed;
        }

        // 7. Callbacks that wait for the end.
        if (HasOnCompleted)
        {
            await FireOnCompleted().ConfigureAwait(false);
        }
    }

    private async Task StartAfterCallbacks()
    {
        await CallOnStarting().ConfigureAwait(false);
        TryStart();
    }

    private async Task FireOnStarting()
    {
        while (_onStarting.TryPop(out var callback))
        {
            await callback.Function(callback.State).ConfigureAwait(false);
        }
    }

    private async ValueTask FireOnCompleted()
    {
        while (_onCompleted.TryPop(out var callback))
        {
            try
            {
                await callback.Function(callback.State).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                // The response is over; only the log can tell.
                LogError(error);
            }
        }
    }
}

using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// One request at a time of one connection: feature collection, features and response state in one
/// object that is reused as long as the connection is.
///
/// <code>
/// Idle ── Run ──► Open ── first flush, StartAsync, end ──► Started ── end, CompleteAsync ──► Ended
///   ▲                                                                                           │ the app ends
///   └──────────────────────────────────── callbacks of OnCompleted ──────────────────────── Closed
/// </code>
///
/// The exchange may be touched from Run until Released is published, and by nobody afterwards:
/// late user code meets <see cref="Phase.Idle"/>, or a later request of the same client. What the
/// app does with bodies on threads of its own while its request ends is kept apart by
/// <see cref="Gate"/>: it is either done before the end, or refused.
/// </summary>
internal abstract unsafe partial class HostContext
{
    // Captured on a lane before any user code has run there, hence clean.
    private static ExecutionContext? s_cleanContext;

    private readonly HostServer _server;
    private readonly ServerSettings _settings;
    private NativeExchange* _exchange;
    private ulong _id;
    private volatile Phase _phase;
    // Nothing follows on this connection, so nothing is kept for it.
    private bool _isLast;

    private protected HostContext(HostServer server)
    {
        _server = server;
        _settings = server.Settings;
        _requestHeaders = new RequestHeaders(_settings.Latin1Headers);
        _body = new RequestBody(this);
        _writer = new ResponseWriter(this);
        _requestStream = new RequestStream(this, _body);
        _responseStream = new ResponseStream(this, _writer);
    }

    private enum Phase
    {
        Idle,
        Open,
        Started,
        Ended,
        Closed,
    }

    /// <summary>
    /// Held by whoever touches native memory of a body, for the time of a copy. Taken before the lock
    /// of the life cycle where both are needed.
    /// </summary>
    internal object Gate { get; } = new();

    /// <summary>Whether a request is between its dispatch and its release.</summary>
    internal bool IsActive { get; private set; }

    internal ServerSettings Settings => _settings;

    internal NativeExchange* Exchange => _exchange;

    internal ulong Id => _id;

    /// <summary>Runs a request as far as it goes without waiting; one of <see cref="DispatchOutcome"/>.</summary>
    internal abstract uint Run(NativeExchange* exchange);

    /// <summary>Delivers <see cref="EventFlags"/>. A lane calls it; of the app nothing runs unless that has yielded.</summary>
    internal void Signal(ulong id, uint events)
    {
        if (id != _id || !IsActive)
        {
            return;
        }

        if ((events & EventFlags.Yielded) != 0)
        {
            ClearThread();
            // One event at a time: what goes on here may end the request, and begin another.
            if ((events & EventFlags.Readable) != 0)
            {
                _body.OnReadable(inline: true);
            }
            else
            {
                _writer.OnWritable(inline: true);
            }

            return;
        }

        if ((events & EventFlags.Aborted) != 0)
        {
            Mark(Abortion.Client, id);
        }

        if ((events & (EventFlags.Readable | EventFlags.Aborted)) != 0)
        {
            _body.OnReadable();
        }

        if ((events & (EventFlags.Writable | EventFlags.Aborted)) != 0)
        {
            _writer.OnWritable();
        }
    }

    private protected void Begin(NativeExchange* exchange)
    {
        ClearThread();
        _exchange = exchange;
        _id = exchange->Id;
        _isLast = (exchange->Flags & RequestFlags.Last) != 0;
        IsActive = true;
        BeginFeatures();
        BeginRequest(exchange);
        BeginResponse(exchange);
        _phase = Phase.Open;
        if (ServerEvents.Log.IsEnabled())
        {
            IHttpRequestFeature request = this;
            ServerEvents.Log.RequestStart(ConnectionId, TraceIdentifier, request.Method, request.RawTarget);
        }
    }

    /// <summary>Lets go of everything and gives the exchange back. Nothing may follow.</summary>
    private protected void Release()
    {
        if (ServerEvents.Log.IsEnabled())
        {
            ServerEvents.Log.RequestStop(TraceIdentifier, _status, _error is null ? "continue" : "finish");
        }

        var exchange = _exchange;
        var progress = _unpublished | ProgressFlags.Released;
        if (_phase < Phase.Ended)
        {
            // Only a bug of ours comes here; the client must not wait for what will not come.
            progress |= ProgressFlags.Abort | ProgressFlags.Ended;
        }

        lock (Gate)
        {
            _phase = Phase.Idle;
            EndResponse();
            EndRequest();
            EndFeatures();
            _exchange = null;
        }

        IsActive = false;
        // The connection's next request may run in this object at once: its fields are not ours now.
        var server = _server;
        if (!_isLast)
        {
            server.Rest(this);
        }

        exchange->Publish(progress);
        server.RequestEnded();
    }

    /// <summary>
    /// Whether the rest of the request needs no waiting: the app is done and no callback is left.
    /// </summary>
    private protected bool IsSimpleEnd(Task task)
        => task.IsCompletedSuccessfully && !HasOnCompleted && _completing is null && (!HasOnStarting || _phase != Phase.Open);

    /// <summary>Ends a response with nothing left to await; published together with the release.</summary>
    private protected void EndResponseNow(Exception? error = null)
    {
        lock (Gate)
        {
            if (_phase != Phase.Ended)
            {
                EndResponse(error, publish: false);
            }

            _phase = Phase.Closed;
        }
    }

    /// <summary>
    /// Keeps the first error and logs every one. That nobody waits any more is none of the app's, as
    /// under Kestrel: neither hosting nor its metrics hear of it.
    /// </summary>
    internal void Report(Exception error)
    {
        if (IsAborted && error is OperationCanceledException or IOException)
        {
            _isCutShort = true;
        }
        else
        {
            _error ??= error;
        }

        LogError(error);
    }

    /// <summary>The client's fault, which the app may hear of and answer by itself.</summary>
    internal void LogBadRequest(BadHttpRequestException error)
    {
        try
        {
            Log.BadRequest(_settings.Logger, TraceIdentifier, error);
        }
        catch (Exception failure)
        {
            _server.ReportBug("log", failure);
        }
    }

    private void LogError(Exception error)
    {
        try
        {
            Tell(error);
        }
        catch (Exception failure)
        {
            // A logging provider that throws must not decide how a request ends.
            _server.ReportBug("log", failure);
        }
    }

    private void Tell(Exception error)
    {
        if (IsAborted && error is OperationCanceledException or IOException)
        {
            Log.RequestAborted(_settings.Logger, TraceIdentifier, error);
            return;
        }

        if (ServerEvents.Log.IsEnabled())
        {
            ServerEvents.Log.RequestFailed(TraceIdentifier, error.ToString());
        }

        if (error is BadHttpRequestException && !_body.IsFailure(error))
        {
            Log.BadRequest(_settings.Logger, TraceIdentifier, error);
        }

        Log.ApplicationError(_settings.Logger, ConnectionId, TraceIdentifier, error);
    }

    /// <summary>One lane runs strangers' requests one after the other on the same thread.</summary>
    private static void ClearThread()
    {
        ExecutionContext.Restore(s_cleanContext ??= CaptureClean());
        if (SynchronizationContext.Current is not null)
        {
            SynchronizationContext.SetSynchronizationContext(null);
        }
    }

    private static ExecutionContext CaptureClean()
        => ExecutionContext.Capture()
            ?? throw new InvalidOperationException("The flow of execution contexts is suppressed on a lane.");
}

/// <summary>The part that knows the app's context type. Native code cannot enter generic types.</summary>
internal sealed class HostContext<TContext> : HostContext, IHostContextContainer<TContext>
    where TContext : notnull
{
    private readonly IHttpApplication<TContext> _application;

    internal HostContext(HostServer server, IHttpApplication<TContext> application)
        : base(server)
        => _application = application;

    /// <summary>Hosting keeps its own objects here from one request to the next.</summary>
    TContext? IHostContextContainer<TContext>.HostContext { get; set; }

    internal override unsafe uint Run(NativeExchange* exchange)
    {
        Begin(exchange);
        TContext context;
        Task task;
        try
        {
            context = _application.CreateContext(this);
        }
        catch (Exception error)
        {
            // Nothing to dispose, no callback registered: the answer is 500 and that is all.
            Report(error);
            EndResponseNow(error);
            Release();
            return DispatchOutcome.Done;
        }

        try
        {
            task = _application.ProcessRequestAsync(context);
        }
        catch (Exception error)
        {
            task = Task.FromException(error);
        }

        if (IsSimpleEnd(task))
        {
            EndResponseNow();
            DisposeContext(context);
            return DispatchOutcome.Done;
        }

        var finish = FinishAsync(task);
        if (finish.IsCompleted)
        {
            finish.GetAwaiter().GetResult();
            DisposeContext(context);
            return DispatchOutcome.Done;
        }

        _ = DisposeLater(finish, context);
        return DispatchOutcome.Pending;
    }

    private async Task DisposeLater(ValueTask finish, TContext context)
    {
        try
        {
            await finish.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            Report(error);
        }

        DisposeContext(context);
    }

    private void DisposeContext(TContext context)
    {
        try
        {
            // 8. Writes the request-finished log and metrics.
            _application.DisposeContext(context, Error);
        }
        catch (Exception error)
        {
            Report(error);
        }

        // 9–10. The slot may serve the next request.
        Release();
    }
}

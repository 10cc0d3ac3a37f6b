using System;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.IIS;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The server that the app runs on: it has no socket. Lanes of the worker call
/// <see cref="Dispatch"/> with requests that they have parsed and take the answer from the
/// exchange's memory.
/// </summary>
internal sealed class HostServer : IServer
{
    private readonly ContextTable _contexts;
    private readonly WatchedConnections _connections;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource _workerStops = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _quiet = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    // Set by the start.
    private Func<HostContext>? _createContext;
    private volatile bool _draining;
    private volatile bool _closed;
    private volatile bool _stopAsked;

    public HostServer(
        IOptions<IISServerOptions> options,
        IConfiguration configuration,
        IHostApplicationLifetime lifetime,
        ILoggerFactory loggers)
    {
        _lifetime = lifetime;
        _connections = new WatchedConnections(this);
        _contexts = new ContextTable(_connections.IsWatched);
        _logger = loggers.CreateLogger("Ancm.Server");
        Settings = new ServerSettings(options.Value, _logger);
        Features.Set<IServerAddressesFeature>(new ServerAddressesFeature());
        if (IisEnvironment.From(configuration) is { } environment)
        {
            Features.Set<IIISEnvironmentFeature>(environment);
        }
    }

    public IFeatureCollection Features { get; } = new FeatureCollection();

    internal ServerSettings Settings { get; }

    public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
        where TContext : notnull
    {
        // An app that was told to stop while it starts does not come to serving, as on Kestrel.
        cancellationToken.ThrowIfCancellationRequested();
        _createContext = () => new HostContext<TContext>(this, application);
        PublishAddresses();
        // The bootstrap takes back what it did to get us registered.
        (AppContext.GetData("ANCM_STARTED") as Action)?.Invoke();
        _lifetime.ApplicationStopping.UnsafeRegister(static server => ((HostServer)server!).OnStopping(), this);
        // Until then the last requests may need what runs in other hosts of the process.
        _lifetime.ApplicationStopped.UnsafeRegister(static _ => ThreadPool.UnsafeQueueUserWorkItem(static _ => HostLifetime.StopAll(), null), null);
        NativeApi.Attach(this);
        NativeApi.Life(LifeEvent.Ready);
        return Task.CompletedTask;
    }

    /// <summary>
    /// Returns when every request is over, or when the token says that time is up; then what is
    /// left is aborted. The worker asks for the stop while requests still run. When the app
    /// stops by itself the worker hears of it and asks all the same, so nobody is refused meanwhile.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        var isOfHost = _lifetime.ApplicationStopping.IsCancellationRequested;
        if (!isOfHost)
        {
            // The app stops its server by itself, which is the end of the app.
            OnStopping();
        }

        try
        {
            await _workerStops.Task.WaitAsync(cancellationToken);
            if (NativeApi.TellsQuiet)
            {
                // Answers that began before the drain have promised their clients one more.
                await _quiet.Task.WaitAsync(cancellationToken);
            }

            _draining = true;
            // A request that ends now either sees the flag or is seen by the count below.
            Interlocked.MemoryBarrierProcessWide();
            CheckDrained();
            await _drained.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (!isOfHost)
        {
            // Who does not wait has asked all the same; the host's stop is to come.
            return;
        }
        catch (OperationCanceledException)
        {
            _contexts.AbortAll();
        }

        _closed = true;
        HostInjection.IsOver();
    }

    public void Dispose()
    {
        if (_createContext is null)
        {
            HostInjection.GiveBack();
        }
        else if (!_closed)
        {
            HostInjection.IsOver();
        }

        _closed = true;
    }

    /// <summary>Runs one request on the calling lane as far as it goes without waiting.</summary>
    internal unsafe uint Dispatch(NativeExchange* exchange)
    {
        if (_closed)
        {
            return Refuse(exchange);
        }

        var connection = exchange->Connection;
        var context = _contexts.Wake(connection is null ? 0 : connection->Id);
        if (context is not { IsActive: false })
        {
            context = CreateBeside(context);
        }

        _contexts.Use(NativeExtensions.SlotOf(exchange->Id), context);
        return context.Run(exchange);
    }

    /// <summary>Delivers an event, to a request or to whoever watches a connection.</summary>
    internal void Signal(ulong id, uint events)
    {
        if ((events & EventFlags.Quiet) != 0)
        {
            _quiet.TrySetResult();
        }
        else if ((events & EventFlags.Closed) != 0)
        {
            _connections.Close(id);
            _contexts.Forget(id);
        }
        else
        {
            _contexts.Find(NativeExtensions.SlotOf(id))?.Signal(id, events);
        }
    }

    /// <summary>Canceled when the connection of that number is over.</summary>
    internal CancellationToken Watch(ulong connection) => _connections.Watch(connection);

    /// <summary>Asks the app to stop. Its callbacks are user code, so they run on the pool.</summary>
    internal void RequestStop()
    {
        _stopAsked = true;
        _workerStops.TrySetResult();
        ThreadPool.UnsafeQueueUserWorkItem(static server => server._lifetime.StopApplication(), this, preferLocal: false);
    }

    /// <summary>The context is done with its request and may be used for another from now on.</summary>
    internal void Rest(HostContext context) => _contexts.Rest(context);

    /// <summary>The context has answered and is not done, and something is kept for its connection.</summary>
    internal void Lend(HostContext context) => _contexts.Lend(context);

    /// <summary>Called by every context at its end; costs one read while the server runs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void RequestEnded()
    {
        if (_draining)
        {
            CheckDrained();
        }
    }

    /// <summary>Cancels on the pool what the app has registered with; what throws there ends no process.</summary>
    internal void Cancel(CancellationTokenSource source, string connectionId, string traceIdentifier)
    {
        try
        {
            source.Cancel();
        }
        catch (Exception error)
        {
            try
            {
                Log.ApplicationError(_logger, connectionId, traceIdentifier, error);
            }
            catch (Exception failure)
            {
                ReportBug("log", failure);
            }
        }
    }

    /// <summary>Listeners within the process and providers of logging are user code: not for a lane.</summary>
    internal void TellOfAbort(string traceIdentifier, bool isOfApplication)
    {
        try
        {
            ServerEvents.Log.RequestAborted(traceIdentifier, isOfApplication ? "application" : "client");
            if (isOfApplication)
            {
                Log.ApplicationAbort(_logger, traceIdentifier);
            }
            else
            {
                Log.ConnectionDisconnect(_logger, traceIdentifier);
            }
        }
        catch (Exception failure)
        {
            ReportBug("log", failure);
        }
    }

    internal void ReportBug(string where, Exception error)
    {
        try
        {
            NativeApi.Life(LifeEvent.Log, 0, $"{where}: {error}");
            Log.ServerError(_logger, where, error);
        }
        catch (Exception)
        {
            // A logging provider that throws must not take the process with it.
        }
    }

    /// <summary>A new context, of the same connection as one that is not done with its request.</summary>
    private HostContext CreateBeside(HostContext? before)
    {
        var context = _createContext!();
        if (before is not null)
        {
            context.Inherit(before);
        }

        return context;
    }

    private static unsafe uint Refuse(NativeExchange* exchange)
    {
        HeadWriter.WriteEmpty(exchange, 503);
        exchange->Publish(ProgressFlags.Head | ProgressFlags.Ended | ProgressFlags.Released | ProgressFlags.Close);
        return DispatchOutcome.Done;
    }

    /// <summary>What the app configured is not what the worker listens on.</summary>
    private void PublishAddresses()
    {
        if (Features.Get<IServerAddressesFeature>() is { } feature && NativeApi.Property("addresses") is { } addresses)
        {
            feature.Addresses.Clear();
            foreach (var address in addresses.Split(';', StringSplitOptions.RemoveEmptyEntries))
            {
                feature.Addresses.Add(address);
            }
        }
    }

    private void OnStopping()
    {
        if (!_stopAsked)
        {
            NativeApi.Life(LifeEvent.Stopping, 0, "its host stops");
        }
    }

    private void CheckDrained()
    {
        if (!_contexts.AnyActive())
        {
            _drained.TrySetResult();
        }
    }
}

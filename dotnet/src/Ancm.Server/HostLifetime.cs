using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Ancm.Server;

/// <summary>
/// Replaces the console lifetime, which would take SIGTERM and SIGINT. Signals belong to the
/// supervisor; when the host that has our server has stopped because the worker asked for it, the others
/// of the process are asked as well, as by a signal. What the console lifetime says of start and stop is said all the same: people and
/// programs wait for it.
/// </summary>
internal sealed class HostLifetime : IHostLifetime, IDisposable
{
    private static readonly HashSet<HostLifetime> s_all = [];

    private readonly IHostApplicationLifetime _application;
    private readonly IHostEnvironment _environment;
    private readonly ILogger _logger;
    private readonly bool _isSilent;
    private CancellationTokenRegistration _started;
    private CancellationTokenRegistration _stopping;

    public HostLifetime(
        IHostApplicationLifetime application,
        IHostEnvironment environment,
        IOptions<ConsoleLifetimeOptions> options,
        ILoggerFactory loggers)
    {
        _application = application;
        _environment = environment;
        _logger = loggers.CreateLogger("Microsoft.Hosting.Lifetime");
        _isSilent = options.Value.SuppressStatusMessages;
    }

    /// <summary>Asks every host that has started to stop; one that does so, or has, hears nothing new.</summary>
    internal static void StopAll()
    {
        HostLifetime[] all;
        lock (s_all)
        {
            all = [.. s_all];
        }

        foreach (var one in all)
        {
            one._application.StopApplication();
        }
    }

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        lock (s_all)
        {
            s_all.Add(this);
        }

        if (!_isSilent)
        {
            _started = _application.ApplicationStarted.Register(() => Log.Started(_logger, _environment));
            _stopping = _application.ApplicationStopping.Register(() => Log.Stopping(_logger));
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        lock (s_all)
        {
            s_all.Remove(this);
        }

        _started.Dispose();
        _stopping.Dispose();
    }
}

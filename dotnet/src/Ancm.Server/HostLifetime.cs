using System;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Ancm.Server;

/// <summary>
/// Replaces the console lifetime, which would take SIGTERM and SIGINT. Signals belong to the
/// supervisor; this app stops when the worker asks for it. What the console lifetime says of start
/// and stop is said all the same: people and programs wait for it.
/// </summary>
internal sealed class HostLifetime : IHostLifetime, IDisposable
{
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

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
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
        _started.Dispose();
        _stopping.Dispose();
    }
}

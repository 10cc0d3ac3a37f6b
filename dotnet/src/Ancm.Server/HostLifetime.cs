using System.Threading;
using System.Threading.Tasks;

using Microsoft.Extensions.Hosting;

namespace Ancm.Server;

/// <summary>
/// Replaces the console lifetime, which would take SIGTERM and SIGINT. Signals belong to the
/// supervisor; this app stops when the worker asks for it.
/// </summary>
internal sealed class HostLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

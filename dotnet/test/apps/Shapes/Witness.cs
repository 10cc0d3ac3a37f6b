namespace Shapes;

/// <summary>Tells every step of the life of a hosted service.</summary>
internal sealed class Witness : IHostedLifecycleService
{
    public Task StartingAsync(CancellationToken cancellationToken) => Tell("StartingAsync");

    public Task StartAsync(CancellationToken cancellationToken) => Tell("StartAsync");

    public Task StartedAsync(CancellationToken cancellationToken) => Tell("StartedAsync");

    public Task StoppingAsync(CancellationToken cancellationToken) => Tell("StoppingAsync");

    public Task StopAsync(CancellationToken cancellationToken) => Tell("StopAsync");

    public Task StoppedAsync(CancellationToken cancellationToken) => Tell("StoppedAsync");

    private static Task Tell(string step)
    {
        Console.WriteLine($"life: {step}");
        return Task.CompletedTask;
    }
}

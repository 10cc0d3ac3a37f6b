using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Kitchen;

/// <summary>What lives beside the requests.</summary>
internal static class Hosted
{
    internal static void AddHosted(this IServiceCollection services)
    {
        services.AddSingleton<TaskGate>();
        services.AddSingleton<Oven>();
        services.AddHostedService(provider => provider.GetRequiredService<Oven>());
        services.AddHealthChecks()
            .AddCheck("warm", () => HealthCheckResult.Healthy(), ["good"])
            .AddCheck("sour", () => HealthCheckResult.Unhealthy("sour milk"), ["bad"]);
    }

    internal static void MapHosted(this WebApplication app)
    {
        app.MapHealthChecks("/health", new HealthCheckOptions { Predicate = check => check.Tags.Contains("good") });
        app.MapHealthChecks("/health/bad", new HealthCheckOptions { Predicate = check => check.Tags.Contains("bad") });
        app.MapGet("/oven", (Oven oven) => oven.State);
        app.MapGet("/hosting", (IHostApplicationLifetime lifetime, IWebHostEnvironment environment, IConfiguration configuration) => new
        {
            started = lifetime.ApplicationStarted.IsCancellationRequested,
            stopping = lifetime.ApplicationStopping.IsCancellationRequested,
            environment.EnvironmentName,
            environment.ApplicationName,
            contentRoot = environment.ContentRootPath,
            webRoot = environment.WebRootPath,
            directory = Environment.CurrentDirectory,
            logging = configuration["Logging:LogLevel:Default"],
        });
    }
}

/// <summary>
/// Lets tests decide when a handler goes on. In the end it goes on by itself: a proxy may have put
/// the request that opens the gate behind the one that waits.
/// </summary>
internal sealed class TaskGate
{
    private readonly SemaphoreSlim _gate = new(0);

    internal Task Wait() => _gate.WaitAsync(TimeSpan.FromSeconds(2));

    internal void Open() => _gate.Release();
}

/// <summary>A service with a life of its own.</summary>
internal sealed class Oven(ILogger<Oven> logger) : BackgroundService
{
    internal string State { get; private set; } = "cold";

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        logger.LogWarning("the oven is off");
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        State = "warm";
        await Task.Delay(Timeout.Infinite, stoppingToken);
    }
}

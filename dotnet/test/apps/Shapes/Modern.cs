using System.Net;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Shapes;

/// <summary>WebApplication and its variations.</summary>
internal static class Modern
{
    internal static int CreateBuilder(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "CreateBuilder");
        app.Run();
        return 0;
    }

    internal static int CreateSlimBuilder(string[] args)
    {
        var app = WebApplication.CreateSlimBuilder(args).Build();
        Endpoints.Use(app, "CreateSlimBuilder");
        app.Run();
        return 0;
    }

    internal static int CreateEmptyBuilder(string[] args)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { Args = args });
        // As nothing else does it here.
        builder.Configuration.AddEnvironmentVariables("ASPNETCORE_").AddCommandLine(args);
        builder.WebHost.UseKestrelCore();
        builder.WebHost.UseIISIntegration();
        var app = builder.Build();
        Endpoints.Use(app, "CreateEmptyBuilder");
        app.Run();
        return 0;
    }

    internal static int IntegratedTwice(string[] args)
    {
        // The framework's defaults have done so once already.
        var builder = WebApplication.CreateBuilder(args);
        builder.WebHost.UseIISIntegration().UseIISIntegration();
        return Run(builder.Build(), "IntegratedTwice");
    }

    internal static int UseUrls(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.WebHost.UseUrls("http://127.0.0.1:1");
        return Run(builder.Build(), "UseUrls");
    }

    internal static int ConfigureKestrel(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.Limits.MaxRequestBodySize = 100;
            // Kestrel alone would listen here and nowhere else.
            options.Listen(IPAddress.Loopback, 1, listen => listen.Protocols = HttpProtocols.Http1);
        });
        return Run(builder.Build(), "ConfigureKestrel");
    }

    internal static int Lifetime(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Logging.ClearProviders();
        builder.Services.AddHostedService<Witness>();
        var app = builder.Build();
        app.Lifetime.ApplicationStarted.Register(() => Console.WriteLine("life: ApplicationStarted"));
        app.Lifetime.ApplicationStopping.Register(() => Console.WriteLine("life: ApplicationStopping"));
        app.Lifetime.ApplicationStopped.Register(() => Console.WriteLine("life: ApplicationStopped"));
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Console.WriteLine("life: ProcessExit");
        app.MapGet("/last", async (IHostApplicationLifetime lifetime) =>
        {
            Console.WriteLine("waiting");
            var stopping = new TaskCompletionSource();
            lifetime.ApplicationStopping.Register(stopping.SetResult);
            await stopping.Task;
            await Task.Delay(100);
            Console.WriteLine("life: request ends");
            return "last";
        });
        app.Run();
        Console.WriteLine("life: Main returns");
        return 0;
    }

    internal static int OwnServer(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Services.AddSingleton<Microsoft.AspNetCore.Hosting.Server.IServer, NoServer>();
        return Run(builder.Build(), "OwnServer");
    }

    internal static int UrlsAdd(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        app.Urls.Add("http://127.0.0.1:0");
        return Run(app, "UrlsAdd");
    }

    internal static int RunWithUrl(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "RunWithUrl");
        app.Run("http://127.0.0.1:0");
        return 0;
    }

    internal static async Task<int> RunAsync(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "RunAsync");
        await app.RunAsync();
        return 0;
    }

    internal static async Task<int> StartAsync(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "StartAsync");
        await app.StartAsync();
        Console.WriteLine("started");
        await app.WaitForShutdownAsync();
        return 0;
    }

    internal static int Start(string[] args)
    {
        using var app = (IDisposable)WebApplication.CreateBuilder(args).Build();
        var web = (WebApplication)app;
        Endpoints.Use(web, "Start");
        web.Start();
        web.WaitForShutdown();
        return 0;
    }

    internal static async Task<int> DisposeAsync(string[] args)
    {
        await using var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "DisposeAsync");
        await app.RunAsync();
        return 0;
    }

    internal static int Container(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Host.UseServiceProviderFactory(new OwnContainer());
        builder.Host.ConfigureContainer<OwnBuilder>(container => container.Services.AddSingleton("from the container"));
        var app = builder.Build();
        return Run(app, $"Container {app.Services.GetRequiredService<string>()}");
    }

    internal static async Task<int> WorkerFirst(string[] args)
    {
        using var worker = Host.CreateDefaultBuilder()
            .ConfigureServices(services => services.AddHostedService<Worker>())
            .Build();
        await worker.StartAsync();
        var result = Run(WebApplication.CreateBuilder(args).Build(), "WorkerFirst");
        await worker.StopAsync();
        return result;
    }

    internal static async Task<int> TwoHosts(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Endpoints.Use(app, "TwoHosts");
        await app.StartAsync();
        // The second is for the neighbours: Kestrel, on a port of its own, whoever serves the first.
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseKestrel(options => options.Listen(IPAddress.Loopback, 0));
        await using var second = builder.Build();
        second.Run(context => context.Response.WriteAsync("second"));
        await second.StartAsync();
        Console.WriteLine($"second on {second.Urls.First()}");
        await app.WaitForShutdownAsync();
        await second.StopAsync();
        return 0;
    }

    /// <summary>A host that is built for its services only, as tools and tests of migrations do.</summary>
    internal static int NeverStarted(string[] args)
    {
        using (var first = WebApplication.CreateBuilder(args).Build())
        {
            first.Services.GetRequiredService<IConfiguration>();
        }

        return Run(WebApplication.CreateBuilder(args).Build(), "NeverStarted");
    }

    /// <summary>The same, with the server asked for, too.</summary>
    internal static int NeverStartedServer(string[] args)
    {
        using (var first = WebApplication.CreateBuilder(args).Build())
        {
            first.Services.GetRequiredService<IServer>();
        }

        return Run(WebApplication.CreateBuilder(args).Build(), "NeverStartedServer");
    }

    internal static async Task<int> LongInit(string[] args)
    {
        await Task.Delay(TimeSpan.FromSeconds(3));
        return Run(WebApplication.CreateBuilder(args).Build(), "LongInit");
    }

    /// <summary>Stops the host, as hosts do since .NET 6.</summary>
    internal static int BackgroundThrows(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Services.AddSingleton<Fuse>().AddHostedService<Failing>();
        return RunWithFuse(builder.Build(), "BackgroundThrows");
    }

    internal static int BackgroundThrowsIgnored(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Services.Configure<HostOptions>(options => options.BackgroundServiceExceptionBehavior = BackgroundServiceExceptionBehavior.Ignore);
        builder.Services.AddSingleton<Fuse>().AddHostedService<Failing>();
        return RunWithFuse(builder.Build(), "BackgroundThrowsIgnored");
    }

    internal static int ExitCode(string[] args)
    {
        Run(WebApplication.CreateBuilder(args).Build(), "ExitCode");
        return 7;
    }

    internal static int OnAThread(string[] args)
    {
        var thread = new Thread(() => Run(WebApplication.CreateBuilder(args).Build(), "ThreadedMain"));
        thread.Start();
        thread.Join();
        return 0;
    }

    private static int Run(WebApplication app, string shape)
    {
        Endpoints.Use(app, shape);
        app.Run();
        return 0;
    }

    private static int RunWithFuse(WebApplication app, string shape)
    {
        app.Map("/fuse", branch => branch.Run(context =>
        {
            context.RequestServices.GetRequiredService<Fuse>().Blow();
            return context.Response.WriteAsync("blown");
        }));
        return Run(app, shape);
    }

    private sealed class Worker : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.Delay(Timeout.Infinite, stoppingToken);
    }

    private sealed class Fuse
    {
        private readonly TaskCompletionSource _blown = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal Task Blown => _blown.Task;

        internal void Blow() => _blown.TrySetResult();
    }

    private sealed class Failing(Fuse fuse) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            await fuse.Blown.WaitAsync(stoppingToken);
            throw new InvalidOperationException("a background service failed");
        }
    }

    private sealed class OwnBuilder(IServiceCollection services)
    {
        internal IServiceCollection Services => services;
    }

    private sealed class OwnContainer : IServiceProviderFactory<OwnBuilder>
    {
        public OwnBuilder CreateBuilder(IServiceCollection services) => new(services);

        public IServiceProvider CreateServiceProvider(OwnBuilder containerBuilder)
            => containerBuilder.Services.BuildServiceProvider(validateScopes: true);
    }
}

namespace Shapes;

/// <summary>The generic host.</summary>
internal static class Generic
{
    internal static int ConfigureWebHostDefaults(string[] args)
    {
        Host.CreateDefaultBuilder(args)
            .ConfigureWebHostDefaults(web => web.Configure(app => Endpoints.Use(app, "ConfigureWebHostDefaults")))
            .Build()
            .Run();
        return 0;
    }

    internal static int ConfigureWebHost(string[] args)
    {
        new HostBuilder()
            .ConfigureHostConfiguration(configuration => configuration.AddCommandLine(args))
            .ConfigureWebHost(web => web
                .UseKestrel()
                .UseIISIntegration()
                .Configure(app => Endpoints.Use(app, "ConfigureWebHost")))
            .Build()
            .Run();
        return 0;
    }

    internal static int UseStartup(string[] args)
    {
        Host.CreateDefaultBuilder(args)
            .ConfigureWebHostDefaults(web => web.UseStartup<Startup>())
            .Build()
            .Run();
        return 0;
    }

    internal static async Task<int> RunConsoleAsync(string[] args)
    {
        await Host.CreateDefaultBuilder(args)
            .ConfigureWebHostDefaults(web => web.Configure(app => Endpoints.Use(app, "RunConsoleAsync")))
            .RunConsoleAsync();
        return 0;
    }

    internal static int ApplicationBuilder(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Host.ConfigureServices(services => services.AddSingleton("a host's service"));
        builder.WebHost.ConfigureServices(services => services.AddRouting());
        var app = builder.Build();
        Endpoints.Use(app, "ApplicationBuilder " + app.Services.GetRequiredService<string>());
        ((IHost)app).Run();
        return 0;
    }

    private sealed class Startup(IConfiguration configuration)
    {
        public void ConfigureServices(IServiceCollection services) => services.AddSingleton(configuration.GetType().Name);

        public void Configure(IApplicationBuilder app) => Endpoints.Use(app, "UseStartup");
    }
}

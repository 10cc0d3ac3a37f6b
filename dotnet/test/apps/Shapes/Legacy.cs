using Microsoft.AspNetCore;

namespace Shapes;

/// <summary>The hosts of ASP.NET Core 1 and 2, which still work.</summary>
internal static class Legacy
{
    internal static int CreateDefaultBuilder(string[] args)
    {
        WebHost.CreateDefaultBuilder(args)
            .Configure(app => Endpoints.Use(app, "WebHostDefault"))
            .Build()
            .Run();
        return 0;
    }

    internal static int Start(string[] args)
    {
        using var host = WebHost.CreateDefaultBuilder(args)
            .Configure(app => Endpoints.Use(app, "WebHostStart"))
            .Build();
        host.Start();
        host.WaitForShutdown();
        return 0;
    }

    internal static int Bare(string[] args)
    {
        new WebHostBuilder()
            .UseConfiguration(new ConfigurationBuilder().AddCommandLine(args).Build())
            .UseKestrel()
            .UseIISIntegration()
            .UseContentRoot(Directory.GetCurrentDirectory())
            .Configure(app => Endpoints.Use(app, "WebHostBuilder"))
            .Build()
            .Run();
        return 0;
    }
}

using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

using Microsoft.AspNetCore;

namespace Shapes;

/// <summary>Applications whose life is not that of one host: longer, shorter, or several.</summary>
internal static class Lives
{
    /// <summary>Main returns at once; a thread of its own serves, and says with which code all ends.</summary>
    internal static int OutlivesMain(string[] args)
    {
        new Thread(() =>
        {
            Modern.CreateBuilder(args);
            Environment.ExitCode = 9;
            Console.WriteLine("life: the thread ends");
        }).Start();
        Console.WriteLine("life: Main returns");
        return 5;
    }

    /// <summary>Runs one host after the other as long as that is wanted, as programs do that read their configuration anew.</summary>
    internal static int Restarts(string[] args) => InALoop(again =>
    {
        var app = WebApplication.CreateBuilder(args).Build();
        Use(app, "Restarts", again);
        app.Run();
    });

    /// <summary>The same with the host of old.</summary>
    internal static int RestartsLegacy(string[] args) => InALoop(again =>
        WebHost.CreateDefaultBuilder(args).Configure(app => Use(app, "RestartsLegacy", again)).Build().Run());

    /// <summary>Knows no end, and leaves it to others.</summary>
    internal static int RestartsForEver(string[] args)
    {
        while (true)
        {
            Modern.CreateBuilder(args);
        }
    }

    /// <summary>Two web hosts and one without a server, which all run until they are told to stop.</summary>
    internal static async Task<int> Together(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseKestrel(options => options.Listen(IPAddress.Loopback, 0));
        var beside = builder.Build();
        var worker = Host.CreateDefaultBuilder().Build();
        var others = new IHost[] { beside, worker }.Select(host => host.Services.GetRequiredService<IHostApplicationLifetime>());
        app.MapGet("/last", async (IHostApplicationLifetime lifetime) =>
        {
            Console.WriteLine("waiting");
            var stopping = new TaskCompletionSource();
            lifetime.ApplicationStopping.Register(stopping.SetResult);
            await stopping.Task;
            await Task.Delay(100);
            return others.Count(other => !other.ApplicationStopping.IsCancellationRequested);
        });
        app.MapGet("/", () => "Together");
        var first = app.RunAsync();
        await Task.WhenAll(first, beside.RunAsync(), worker.RunAsync());
        Console.WriteLine("life: Main returns");
        return 0;
    }

    /// <summary>Tells everything that announces an end.</summary>
    internal static int Ends(string[] args)
    {
        var signals = new[] { PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT, PosixSignal.SIGINT };
        var registrations = signals.Select(signal => PosixSignalRegistration.Create(signal, Tell)).ToArray();
        Console.CancelKeyPress += (_, cancel) =>
        {
            Console.WriteLine("life: CancelKeyPress");
            cancel.Cancel = true;
        };
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Console.WriteLine("life: ProcessExit");
        AssemblyLoadContext.Default.Unloading += _ => Console.WriteLine("life: Unloading");
        Modern.CreateBuilder(args);
        Console.WriteLine("life: Main returns");
        Array.ForEach(registrations, registration => registration.Dispose());
        return 0;
    }

    /// <summary>Reads its standard input to the end, as a console program does, and beside it serves.</summary>
    internal static int ReadsInput(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        var input = Task.Run(() => Console.In.ReadToEnd());
        app.MapGet("/", async () => $"ReadsInput {(await input).Length} {Console.IsInputRedirected}");
        app.Run();
        return 0;
    }

    /// <summary>Starts programs and waits for them.</summary>
    internal static int Forks(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        app.MapGet("/run", async (int code) =>
        {
            var start = new ProcessStartInfo("sh") { RedirectStandardOutput = true, RedirectStandardInput = true };
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add($"read line; echo $line; exit {code}");
            using var child = Process.Start(start)!;
            await child.StandardInput.WriteLineAsync($"said {code}");
            var said = await child.StandardOutput.ReadToEndAsync();
            await child.WaitForExitAsync();
            return $"{said.Trim()}, exited with {child.ExitCode}";
        });
        app.MapGet("/blocked", () => Output("grep", "^SigBlk", "/proc/self/status"));
        app.MapGet("/ended", () => Output("sh", "-c", "sleep 600 & kill -s TERM $!; wait $!; echo $?"));
        // The child has become somebody else's before it ends.
        app.MapGet("/orphan", () =>
        {
            using var child = Process.Start("sh", ["-c", "sleep 0.1 & exit 3"]);
            child.WaitForExit();
            return $"exited with {child.ExitCode}";
        });
        app.Run();
        return 0;
    }

    private static string Output(string program, params string[] arguments)
    {
        using var child = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        return child.StandardOutput.ReadToEnd();
    }

    /// <summary>What nobody catches, after the start and off every thread that was waited for.</summary>
    internal static int Drops(string[] args)
    {
        var app = WebApplication.CreateBuilder(args).Build();
        app.MapPost("/pool", () => { ThreadPool.QueueUserWorkItem(_ => throw new InvalidOperationException("dropped by the pool")); });
        app.MapPost("/void", Void);
        app.MapGet("/task", () =>
        {
            // Nobody looks at a task, and nothing comes of it.
            Task.Run(() => throw new InvalidOperationException("dropped by a task"));
            return "forgotten";
        });
        app.MapGet("/pid", () => Environment.ProcessId);
        app.Run();
        return 0;

        static async void Void(HttpContext context)
        {
            await Task.Yield();
            throw new InvalidOperationException("dropped by async void");
        }
    }

    private static int InALoop(Action<Action> run)
    {
        var isWanted = true;
        for (var count = 1; isWanted; count++)
        {
            isWanted = false;
            Console.WriteLine($"life: host {count}");
            run(() => isWanted = true);
        }

        Console.WriteLine("life: Main returns");
        return 0;
    }

    private static void Use(IApplicationBuilder app, string shape, Action again)
    {
        app.Map("/pid", branch => branch.Run(context => context.Response.WriteAsync($"{Environment.ProcessId}")));
        app.Map("/again", branch => branch.Run(context =>
        {
            again();
            context.RequestServices.GetRequiredService<IHostApplicationLifetime>().StopApplication();
            return context.Response.WriteAsync("again");
        }));
        Endpoints.Use(app, shape);
    }

    private static void Tell(PosixSignalContext context)
    {
        Console.WriteLine($"life: {context.Signal}");
        context.Cancel = true;
    }
}

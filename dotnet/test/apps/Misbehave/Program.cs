// An application that misbehaves. Its first argument, or the variable MISBEHAVE, says how:
//
//   Serve                 does not misbehave
//   Throw                 Main throws
//   ThrowAndTell          the same, with a handler of its own for what nobody catches
//   ThrowAndExit          the same, with one that ends the process with code 17
//   ThrowAsync            the same after an await
//   ThrowInStatic         a static constructor throws
//   ThrowOnThread         a thread throws while Main waits
//   Overflow              calls itself without end within Main
//   Fill                  allocates without end
//   FillNative            the same past the runtime, which knows its limits
//   Kill                  sends itself SIGKILL
//   NativeAbort           native code calls abort
//   NativeFault           native code reads memory that is not there
//   MissingAssembly       uses an assembly that is not there
//   MissingLibrary        uses a native library that is not there
//   MissingService        registers a service whose constructor cannot be called
//   StopInStart           a hosted service stops the application while it starts
//   Noise                 20000 lines on both streams, then Main throws
//   ThrowInStartup        the host is built, a hosted service throws while it starts
//   ThrowInConfigure      an IStartupFilter throws while the pipeline is built
//   EarlyReturn [N]       Main returns N (12) before there is a host
//   Exit                  Environment.Exit(13)
//   Abort                 Environment.FailFast
//   Hang                  never comes to a host
//   HangInStart           a hosted service never finishes starting
//   HangOnStop            stops serving, and then stays
//   HangOnStopping        a callback that hears of the stop never returns
//   HangInService         a hosted service never stops, and the host waits for it
//   HangOnExit            what is called at the end of the process never returns
//   HangInBackground      a foreground thread stays when Main has returned
//   Burn N                takes N milliseconds of CPU time, then Main throws
//   BurnAndServe N        takes N milliseconds of CPU time, then serves
//   NeverServes           builds a host and never runs it
//   ConsoleWrite N        N characters on standard output, then returns 12
//   ConsoleErrorWrite N   the same on standard error
//   CheckConsoleFunctions uses System.Console in many ways, then serves
//   Recurse N             calls itself N times within Main, then serves
//
// While it serves, / says hello, /exit ends the process, /abort fails fast, /overflow has no end,
// /recurse goes as deep as it is told.

using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

var mode = args.Length > 0 ? args[0] : Environment.GetEnvironmentVariable("MISBEHAVE") ?? "Serve";
var count = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 0;

switch (mode)
{
    case "Throw":
        throw new InvalidOperationException("thrown by Main on purpose");
    case "ThrowAndTell":
    case "ThrowAndExit":
        AppDomain.CurrentDomain.UnhandledException += (_, args) =>
        {
            Console.WriteLine($"own handler: {((Exception)args.ExceptionObject).Message}");
            if (mode == "ThrowAndExit")
            {
                Environment.Exit(17);
            }
        };
        throw new InvalidOperationException("thrown by Main on purpose");
    case "ThrowAsync":
        await Task.Delay(1);
        throw new InvalidOperationException("thrown by Main after an await");
    case "ThrowInStatic":
        Console.WriteLine(ThrowingStatic.Value);
        break;
    case "ThrowOnThread":
        var thread = new Thread(() => throw new InvalidOperationException("thrown by a thread on purpose"));
        thread.Start();
        Thread.Sleep(Timeout.Infinite);
        break;
    case "Overflow":
        Console.WriteLine(Recursion.Descend(0));
        break;
    case "Fill":
        var filled = new List<byte[]>();
        while (true)
        {
            filled.Add(new byte[1 << 20]);
        }

    case "FillNative":
        while (true)
        {
            var page = Marshal.AllocHGlobal(1 << 20);
            Marshal.Copy(new byte[1 << 20], 0, page, 1 << 20);
        }

    case "Kill":
        _ = Native.Kill(Environment.ProcessId, 9);
        break;
    case "NativeAbort":
        Native.Abort();
        break;
    case "NativeFault":
        _ = Native.Length(1);
        break;
    case "MissingAssembly":
        Console.WriteLine(Assembly.Load("Missing.Component, Version=1.2.3.4"));
        break;
    case "MissingLibrary":
        Console.WriteLine(Native.Missing());
        break;
    case "Noise":
        for (var line = 0; line < 20_000; line++)
        {
            Console.WriteLine($"noise {line} on standard output");
            Console.Error.WriteLine($"noise {line} on standard error");
        }

        throw new InvalidOperationException("thrown after a lot of noise");
    case "EarlyReturn":
        return args.Length > 1 ? count : 12;
    case "Exit":
        Environment.Exit(13);
        break;
    case "Abort":
        Environment.FailFast("failed fast on purpose");
        break;
    case "Hang":
        Console.WriteLine("hanging before there is a host");
        Thread.Sleep(Timeout.Infinite);
        break;
    case "Burn":
        Work.Take(TimeSpan.FromMilliseconds(count));
        throw new InvalidOperationException("thrown by Main after a lot of work");
    case "BurnAndServe":
        Work.Take(TimeSpan.FromMilliseconds(count));
        break;
    case "ConsoleWrite":
        Console.Write(new string('a', count));
        return 12;
    case "ConsoleErrorWrite":
        Console.Error.Write(new string('a', count));
        return 12;
    case "Recurse":
        Console.WriteLine($"recursed {Recursion.To(count)} deep");
        break;
    case "CheckConsoleFunctions":
        Console.OutputEncoding = Encoding.UTF8;
        Console.Title = "Test";
        Console.WriteLine($"Is Console redirection: {Console.IsOutputRedirected}");
        Console.BackgroundColor = ConsoleColor.Blue;
        Console.ResetColor();
        Console.WriteLine("彡⾔");
        break;
    default:
        break;
}

var builder = WebApplication.CreateBuilder(args);
if (mode == "ThrowInStartup")
{
    builder.Services.AddHostedService<ThrowingService>();
}
else if (mode == "ThrowInConfigure")
{
    builder.Services.AddSingleton<IStartupFilter, ThrowingFilter>();
}
else if (mode == "MissingService")
{
    builder.Services.AddSingleton<NeedsMissing>();
    builder.Services.AddHostedService(services => services.GetRequiredService<NeedsMissing>());
}
else if (mode == "StopInStart")
{
    builder.Services.AddHostedService<StoppingService>();
}
else if (mode == "HangInStart")
{
    builder.Services.AddHostedService<HangingService>();
}
else if (mode == "HangInService")
{
    builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = Timeout.InfiniteTimeSpan);
    builder.Services.AddHostedService<StayingService>();
}

var app = builder.Build();
if (mode == "HangOnStopping")
{
    app.Lifetime.ApplicationStopping.Register(() => Thread.Sleep(Timeout.Infinite));
}
else if (mode == "HangOnExit")
{
    AppDomain.CurrentDomain.ProcessExit += (_, _) => Thread.Sleep(Timeout.Infinite);
}

app.MapGet("/", () => "Hello, World!");
app.MapGet("/pid", () => Environment.ProcessId);
app.Map("/exit", (int code) => Environment.Exit(code));
app.Map("/abort", () => Environment.FailFast("failed fast on request"));
app.MapGet("/recurse", (int depth, int after) =>
{
    // A handler that blocks has its lane taken over: the next one runs on the thread that took it.
    Thread.Sleep(after);
    return $"recursed {Recursion.To(depth)} deep on {Thread.CurrentThread.ManagedThreadId}";
});
app.Map("/overflow", () => Recursion.Descend(0).ToString(CultureInfo.InvariantCulture));
app.Map("/crash-on-a-thread", () =>
{
    var thread = new Thread(() => throw new InvalidOperationException("nobody catches this"));
    thread.Start();
    thread.Join();
});

if (mode == "NeverServes")
{
    return 14;
}

app.Run();
if (mode == "HangInBackground")
{
    new Thread(() => Thread.Sleep(Timeout.Infinite)).Start();
}

if (mode == "HangOnStop")
{
    Thread.Sleep(Timeout.Infinite);
}

return 0;

internal static class Work
{
    // However long that takes.
    internal static void Take(TimeSpan time)
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        for (var end = process.TotalProcessorTime + time; process.TotalProcessorTime < end; process.Refresh())
        {
            Thread.SpinWait(100_000);
        }
    }
}

internal sealed class ThrowingService : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
        => throw new InvalidOperationException("thrown by a hosted service on purpose");

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal sealed class StayingService : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.Delay(Timeout.Infinite, CancellationToken.None);
}

internal interface IMissing;

internal sealed class NeedsMissing(IMissing missing) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => Task.FromResult(missing);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal sealed class StoppingService(IHostApplicationLifetime lifetime) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        lifetime.StopApplication();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal static class ThrowingStatic
{
    internal static readonly int Value = Throw();

    private static int Throw() => throw new InvalidOperationException("thrown by a static constructor on purpose");
}

internal static class Native
{
    [DllImport("libc", EntryPoint = "kill")]
    internal static extern int Kill(int process, int signal);

    [DllImport("libc", EntryPoint = "abort")]
    internal static extern void Abort();

    [DllImport("libc", EntryPoint = "strlen")]
    internal static extern nint Length(nint address);

    [DllImport("missing-component", EntryPoint = "missing")]
    internal static extern int Missing();
}

internal sealed class HangingService : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
        => Task.Delay(Timeout.Infinite, CancellationToken.None);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal sealed class ThrowingFilter : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next)
        => throw new InvalidOperationException("thrown by Configure on purpose");
}

internal static class Recursion
{
    // Not a tail call: the result is used.
    internal static int To(int depth)
    {
        Span<byte> room = stackalloc byte[64];
        room[depth % room.Length] = 1;
        return depth == 0 ? room[0] - 1 : To(depth - 1) + room[depth % room.Length];
    }

    internal static long Descend(long depth) => Descend(depth + 1) + depth;
}

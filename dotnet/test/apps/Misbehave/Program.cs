// An application that misbehaves. Its first argument, or the variable MISBEHAVE, says how:
//
//   Serve                 does not misbehave
//   Throw                 Main throws
//   ThrowInStartup        the host is built, a hosted service throws while it starts
//   ThrowInConfigure      an IStartupFilter throws while the pipeline is built
//   EarlyReturn           Main returns 12 before there is a host
//   Exit                  Environment.Exit(13)
//   Abort                 Environment.FailFast
//   Hang                  never comes to a host
//   HangInStart           a hosted service never finishes starting
//   HangOnStop            stops serving, and then stays
//   NeverServes           builds a host and never runs it
//   ConsoleWrite N        N characters on standard output, then returns 12
//   ConsoleErrorWrite N   the same on standard error
//   CheckConsoleFunctions uses System.Console in many ways, then serves
//   Recurse N             calls itself N times within Main, then serves
//
// While it serves, / says hello, /exit ends the process, /abort fails fast, /overflow has no end.

using System.Globalization;
using System.Text;

var mode = args.Length > 0 ? args[0] : Environment.GetEnvironmentVariable("MISBEHAVE") ?? "Serve";
var count = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 0;

switch (mode)
{
    case "Throw":
        throw new InvalidOperationException("thrown by Main on purpose");
    case "EarlyReturn":
        return 12;
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
else if (mode == "HangInStart")
{
    builder.Services.AddHostedService<HangingService>();
}

var app = builder.Build();
app.MapGet("/", () => "Hello, World!");
app.MapGet("/pid", () => Environment.ProcessId);
app.Map("/exit", (int code) => Environment.Exit(code));
app.Map("/abort", () => Environment.FailFast("failed fast on request"));
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
if (mode == "HangOnStop")
{
    Thread.Sleep(Timeout.Infinite);
}

return 0;

internal sealed class ThrowingService : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
        => throw new InvalidOperationException("thrown by a hosted service on purpose");

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
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

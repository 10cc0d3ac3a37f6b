// An ordinary ASP.NET Core application for the wire cases in tests/wire: it answers every request
// with what it has got, and remembers it. `/-/seen` tells what was remembered since it was asked
// last; the other endpoints below `/-/` answer in a certain way, see Answers.cs.

using System.Collections.Concurrent;

using Wire;

var builder = WebApplication.CreateBuilder();
builder.Logging.ClearProviders();
var app = builder.Build();
var seen = new ConcurrentQueue<string>();
var inFlight = 0;

app.Run(async context =>
{
    switch (context.Request.Path.Value)
    {
        case "/-/seen":
            await context.Response.WriteAsync(await DrainAsync());
            break;
        case "/-/probe":
            await context.Response.WriteAsync("probe");
            break;
        default:
            Interlocked.Increment(ref inFlight);
            try
            {
                await Echo.AnswerAsync(context, seen);
            }
            finally
            {
                Interlocked.Decrement(ref inFlight);
            }

            break;
    }
});
app.Run();

// What is still going on belongs to the case that asks, not to the next one.
async Task<string> DrainAsync()
{
    var started = Environment.TickCount64;
    while (Volatile.Read(ref inFlight) > 0 && Environment.TickCount64 - started < 10_000)
    {
        await Task.Delay(1);
    }

    var lines = new List<string>();
    while (seen.TryDequeue(out var line))
    {
        lines.Add(line + "\n");
    }

    return string.Concat(lines);
}

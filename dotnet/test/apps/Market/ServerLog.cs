using System.Collections.Concurrent;

namespace Market;

/// <summary>What the server logs of single requests that fail, or are bad.</summary>
internal sealed class ServerLog : ILoggerProvider
{
    private static readonly string[] s_quiet = ["ConnectionBadRequest", "ConnectionDisconnect", "ApplicationAbort"];

    private readonly ConcurrentQueue<(string Message, string Text)> _lines = new();

    public ILogger CreateLogger(string categoryName)
        => new Logger(this, categoryName.StartsWith("Microsoft.AspNetCore.Server", StringComparison.Ordinal) || categoryName == "Ancm.Server");

    public void Dispose()
    {
    }

    /// <summary>What was logged of the request with this identifier.</summary>
    internal string Of(string trace)
        => string.Join('\n', _lines.Where(line => line.Message.Contains(trace, StringComparison.Ordinal)).Select(line => line.Text));

    private sealed class Logger(ServerLog log, bool isOfServer) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => isOfServer;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (isOfServer && (logLevel >= LogLevel.Warning || s_quiet.Contains(eventId.Name)))
            {
                log._lines.Enqueue((formatter(state, exception), $"{logLevel} {eventId.Id} {exception?.GetType().Name}: {exception?.Message}"));
            }
        }
    }
}

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Reflection;

namespace Ancm.Bootstrap;

/// <summary>
/// Listens to the events of <c>Microsoft.Extensions.Hosting</c>. What is registered during
/// <c>HostBuilding</c> comes after everything that the app registered, and the last server wins.
/// </summary>
internal sealed class HostEvents : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    private readonly Action<object> _building;

    private HostEvents(Action<object> building) => _building = building;

    internal static void Subscribe(Assembly server)
    {
        var method = server.GetType("Ancm.Server.HostInjection", throwOnError: true)!
            .GetMethod("HostBuilding", BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)!;
        DiagnosticListener.AllListeners.Subscribe(new HostEvents(method.CreateDelegate<Action<object>>()));
    }

    public void OnNext(DiagnosticListener listener)
    {
        if (listener.Name == "Microsoft.Extensions.Hosting")
        {
            listener.Subscribe(this);
        }
    }

    public void OnNext(KeyValuePair<string, object?> occurrence)
    {
        switch (occurrence.Key)
        {
            case "HostBuilding" when occurrence.Value is { } builder:
                Bridge.Report(Bridge.Step, 0, "host building");
                _building(builder);
                break;
            case "HostBuilt":
                Bridge.Report(Bridge.Step, 0, "host built");
                HostingStartupVariable.Remove();
                break;
        }
    }

    public void OnCompleted()
    {
    }

    public void OnError(Exception error)
    {
    }
}
